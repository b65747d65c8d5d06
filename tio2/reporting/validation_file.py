"""A model's validation record on disk, beside its checkpoint, and as tables."""

from __future__ import annotations

from pathlib import Path

from tio2.metrology.validation import ModelValidation, ValidationError, validation_from_dict, validation_to_dict
from tio2.reporting.tables import markdown_table
from tio2.structures.json_files import read_json, write_json


def validation_path(checkpoint: str | Path) -> Path:
    """``checkpoints/x.pth`` → ``checkpoints/x.validation.json``."""
    return Path(checkpoint).with_suffix(".validation.json")


def read_validation(path: str | Path) -> ModelValidation:
    """The record of a file; raises `ValidationError`, in one line, where it is missing or not one."""
    return validation_from_dict(read_json(path, ValidationError), str(path))


def write_validation(path: str | Path, validation: ModelValidation) -> None:
    """The file appears whole or not at all."""
    write_json(path, validation_to_dict(validation), indent=1)


def validation_tables(validation: ModelValidation) -> str:
    """Residuals by size, effect of occlusion by density, and the ranges, as Markdown."""
    residuals = [
        [
            f"{one.low_px:g} to {'' if one.high_px is None else format(one.high_px, 'g')}".strip(),
            one.particles,
            one.images,
            *(100 * value for value in (one.residual, one.standard_error, one.between_image_std)),
        ]
        for one in validation.residuals
    ]
    occlusion = [
        [f"{one.low:g} to {one.high:g}", one.images, one.detected, one.fully_imaged, 100 * one.effect]
        for one in validation.occlusion
    ]
    ranges = [[name, *(ends or (None, None))] for name, ends in vars(validation.ranges).items()]
    tables = (
        ("ECD found, px|particles|images|mean residual, %|standard error, %|between images, %", residuals),
        ("area fraction|images|found|fully imaged|D50 found against D50 fully imaged, %", occlusion),
        ("validated for|from|to", ranges),
    )
    return "\n".join(markdown_table(header.split("|"), rows, decimals=2) for header, rows in tables if rows)
