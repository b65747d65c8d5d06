"""A model's bias records on disk, beside its checkpoint, and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from semsize.measuring.tables import markdown_table
from semsize.metrology.bias_record import (
    BiasRecord,
    BiasRecordError,
    CoveredRanges,
    ModelUse,
    OcclusionClass,
    Range,
    RecordSource,
    ResidualClass,
)
from semsize.structures.files import read_json, write_json


def validation_path(checkpoint: str | Path) -> Path:
    """``checkpoints/x.pth`` → ``checkpoints/x.validation.json``."""
    return Path(checkpoint).with_suffix(".validation.json")


def read_validations(path: str | Path) -> tuple[BiasRecord, ...]:
    """The records of a file; raises `BiasRecordError`, in one line, where it is missing or not one."""
    return validations_from_dict(read_json(path, BiasRecordError), str(path))


def write_validations(path: str | Path, records: Sequence[BiasRecord]) -> None:
    """The file appears whole or not at all."""
    write_json(path, {"records": [validation_to_dict(record) for record in records]}, indent=1)


def with_record(records: Sequence[BiasRecord], new: BiasRecord) -> tuple[BiasRecord, ...]:
    """The records with a new one, in the place of the one that holds for the same use of the model."""
    return (*(one for one in records if not _same_use(one, new)), new)


def _same_use(one: BiasRecord, other: BiasRecord) -> bool:
    if one.model is None or other.model is None:
        return one.model is other.model
    return not one.differences(other.model, other.min_score)


def validation_tables(validation: BiasRecord) -> str:
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
        [
            f"{one.low:g} to {one.high:g}",
            one.images,
            one.detected,
            one.fully_imaged,
            *(100 * value for value in (one.effect, one.standard_error, one.between_image_std)),
        ]
        for one in validation.occlusion
    ]
    ranges = [[name, *(ends or (None, None))] for name, ends in vars(validation.ranges).items()]
    spread = "standard error, %|between images, %"
    tables = (
        (f"ECD found, px|particles|images|mean residual, %|{spread}", residuals),
        (f"area fraction|images|found|fully imaged|D50 found against fully imaged, %|{spread}", occlusion),
        ("validated for|from|to", ranges),
    )
    return "\n".join(markdown_table(header.split("|"), rows, decimals=2) for header, rows in tables if rows)


def validation_to_dict(validation: BiasRecord) -> dict[str, Any]:
    """As JSON can hold it."""
    return asdict(validation)


def validations_from_dict(data: Any, origin: str) -> tuple[BiasRecord, ...]:
    """The records of a validation file's contents.

    Args:
        data: what the file holds.
        origin: its name, for the message.

    Raises:
        BiasRecordError: as `validation_from_dict`; or the file is of before records were bound to weights and settings.
    """
    if isinstance(data, dict) and "records" not in data and "residuals" in data:
        raise BiasRecordError(
            f"{origin}: an old record that does not say which weights, settings and precision it holds for; make it "
            "anew with tools/validate.py, or remove it to measure without correction"
        )
    if not isinstance(data, dict) or set(data) != {"records"} or not isinstance(data["records"], list):
        raise _Reader(origin).error("the file holds no list of records")
    return tuple(validation_from_dict(record, origin) for record in data["records"])


def model_use_from_dict(data: Any, origin: str) -> ModelUse:
    """A model's use from JSON; `BiasRecordError` as `validation_from_dict`."""
    read = _Reader(origin)
    record = read.record(data, ModelUse, "the model")
    settings = record["settings"]
    if not isinstance(settings, dict):
        raise read.error(f"settings of the model are {settings!r}, not names with values")
    return ModelUse(*(read.text(record[name], name) for name in ("sha256", "engine", "precision")), settings)


def validation_from_dict(data: Any, origin: str) -> BiasRecord:
    """The record of a JSON file's contents.

    Args:
        data: what the file holds.
        origin: its name, for the message.

    Raises:
        BiasRecordError: a key is missing or unknown, a value of the wrong kind, classes overlap or a range is reversed.
    """
    read = _Reader(origin)
    top = read.record(data, BiasRecord, "the file")
    validation = BiasRecord(
        checkpoint=read.text_or_none(top["checkpoint"], "checkpoint"),
        model=None if top["model"] is None else model_use_from_dict(top["model"], origin),
        min_score=read.number(top["min_score"], "min_score"),
        min_dice=read.number(top["min_dice"], "min_dice"),
        sources=tuple(read.flat(item, RecordSource, f"source {n}") for n, item in read.items(top, "sources")),
        residuals=tuple(
            read.flat(item, ResidualClass, f"residual class {n}", optional=("high_px",))
            for n, item in read.items(top, "residuals")
        ),
        occlusion=tuple(
            read.flat(item, OcclusionClass, f"occlusion class {n}") for n, item in read.items(top, "occlusion")
        ),
        ranges=CoveredRanges(
            **{
                name: read.range_or_none(value, name)
                for name, value in read.record(top["ranges"], CoveredRanges, "ranges").items()
            }
        ),
    )
    ends = [residual.high_px for residual in validation.residuals[:-1]]
    if ends != [residual.low_px for residual in validation.residuals[1:]]:
        raise read.error("residual classes do not adjoin")
    return validation


class _Reader:
    """Takes JSON values of the kinds that the record holds; every fault is one line with the file's name."""

    def __init__(self, origin: str):
        self.origin = origin

    def error(self, what: str) -> BiasRecordError:
        return BiasRecordError(f"{self.origin}: {what}; make it again with tools/validate.py")

    def record(self, value: Any, kind: type, name: str) -> Mapping[str, Any]:
        expected = {field.name for field in fields(kind)}
        given = set(value) if isinstance(value, dict) else set()
        if given != expected:
            wrong = sorted(map(str, given ^ expected))
            raise self.error(f"{name} lacks or has in excess: {', '.join(wrong)}")
        return value

    def items(self, top: Mapping[str, Any], name: str) -> enumerate:
        if not isinstance(top[name], list):
            raise self.error(f"{name} is no list")
        return enumerate(top[name], start=1)

    def flat(self, value: Any, kind: type, name: str, optional: tuple[str, ...] = ()) -> Any:
        """A record of numbers and texts, by the annotations of its fields."""
        data = self.record(value, kind, name)
        result = {}
        for field in fields(kind):
            item, where = data[field.name], f"{field.name} of {name}"
            if item is None and field.name in optional:
                result[field.name] = None
            elif field.type == "str":
                result[field.name] = self.text(item, where)
            else:
                result[field.name] = self.number(item, where, whole=field.type == "int")
        return kind(**result)

    def number(self, value: Any, name: str, *, whole: bool = False) -> float:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not math.isfinite(value):
            raise self.error(f"{name} is {value!r}, not a {'whole ' if whole else ''}number")
        return value if whole else float(value)

    def text(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise self.error(f"{name} is {value!r}, not a text")
        return value

    def text_or_none(self, value: Any, name: str) -> str | None:
        return None if value is None else self.text(value, name)

    def range_or_none(self, value: Any, name: str) -> Range | None:
        if value is None:
            return None
        if not (isinstance(value, list) and len(value) == 2):
            raise self.error(f"{name} of ranges is {value!r}, not [low, high]")
        low, high = (self.number(end, f"{name} of ranges") for end in value)
        if low > high:
            raise self.error(f"{name} of ranges is reversed: {value}")
        return low, high
