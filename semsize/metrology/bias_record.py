"""The bias record of a model: its errors in scenes of known truth, its file beside the weights, and its use.

`semsize.metrology.bias` makes the record, and warns of images unlike its own. This module reads and writes the record,
corrects sizes with it, and states the correction's uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semsize.metrology.occlusion import OcclusionClass
from semsize.structures.files import file_sha256, from_json, in_json, read_json, write_json

Range = tuple[float, float]

ENDINGS = (".bias.json", ".validation.json")
"""Endings of files of bias records: the present one, then that of former versions."""


class BiasRecordError(ValueError):
    """A bias record is missing, damaged or too old; the message is one line that names the file."""


@dataclass(frozen=True)
class ModelUse:
    """A model's weights, engine and settings, which must all be the same for a bias record to hold."""

    sha256: str  # of the weights' file
    engine: str  # what computes the network, such as ``torch``
    precision: str  # of its products: ``float32``, ``bfloat16``, ``float16``
    # dotted name to JSON value of all else that decides detections: test pipeline (scales), thresholds, limits, views,
    # anchors, tiles. A setting that is absent, None, False or an empty list is switched off
    settings: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: Any, origin: str | Path = "the record of these outlines") -> ModelUse:
        """Read what `to_json` wrote in the file `origin`; raise `BiasRecordError` if it is something else."""
        return _read(data, cls, "the model", origin)

    @classmethod
    def behind(cls, predictions: Path) -> ModelUse | None:
        """Return the use behind a predictions file, from metrics.json beside it; None if there is no entry.

        Raises:
            BiasRecordError: metrics.json is damaged, or belongs to other predictions.
        """
        beside = predictions.with_name("metrics.json")
        metrics = read_json(beside, BiasRecordError) if beside.is_file() else {}
        if not isinstance(metrics, dict):
            raise BiasRecordError(f"{beside}: holds no table of metrics; run tools/test.py again")
        if "model" not in metrics:
            return None
        if metrics.get("predictions_sha256") != file_sha256(predictions):
            raise BiasRecordError(f"{beside}: is of other predictions than {predictions.name}; run tools/test.py again")
        return cls.from_json(metrics["model"], beside)

    def to_json(self) -> dict[str, Any]:
        """Return the use as JSON values."""
        return in_json(self)

    def differences(self, validated: ModelUse) -> tuple[str, ...]:
        """Return one phrase for each difference from the use that was validated."""
        lines = []
        if self.sha256 != validated.sha256:
            lines.append(f"the weights are others (SHA-256 {self.sha256[:8]}…, validated {validated.sha256[:8]}…)")
        for name in ("engine", "precision"):
            here, there = getattr(self, name), getattr(validated, name)
            if here != there:
                lines.append(f"{name} is {here}, validated {there}")
        for name in sorted({*self.settings, *validated.settings}):
            here, there = self.settings.get(name), validated.settings.get(name)
            if here != there and not (_is_off(here) and _is_off(there)):
                lines.append(f"{name} is {_setting(here)}, validated {_setting(there)}")
        return tuple(lines)


@dataclass(frozen=True)
class RecordImages:
    """A set of images that a bias record is made from."""

    annotations: str  # name of the annotation file
    predictions: str  # name of the predictions file
    kind: str  # ``annotated`` by people or ``rendered``
    images: int
    pairs: int  # matched true and found particles that do not touch the border


@dataclass(frozen=True)
class ResidualClass:
    """Relative ECD residuals (found - true)/true of the matched particles of a size class."""

    low_px: float  # smallest ECD as found, included
    high_px: float | None  # largest, excluded; None for the class without an upper end
    mean_ecd_px: float  # mean of the ECDs found
    residual: float  # mean over particles; Σ found/Σ true - 1 would give large ones more weight
    standard_error: float  # of the mean, with images as sampling units
    between_image_std: float  # standard deviation of the images' means, beyond what particle sampling explains
    particles: int
    images: int  # with particles of the class, at least two


@dataclass(frozen=True)
class CoveredRanges:
    """Smallest and largest value in the scenes of the record; None if not known in any scene."""

    nm_per_px: Range | None  # pixel size
    ecd_px: Range | None  # 1 % and 99 % quantiles of the matched true particles' ECD
    contrast_levels: Range | None  # median grey level of particles minus that of the other pixels, 0-255
    area_fraction: Range | None  # of an image's found masks, 0 to 1


@dataclass(frozen=True)
class BiasRecord:
    """The bias of a model under one use."""

    checkpoint: str | None  # file name of the model, for people; None for a method without one
    model: ModelUse | None  # the use that the record holds for; None for a method without a network
    min_score: float  # least score of the found particles
    min_dice: float  # least Dice coefficient of the matches
    sources: tuple[RecordImages, ...]  # sets of images that the record is made from
    residuals: tuple[ResidualClass, ...]  # adjoining size classes, ascending
    occlusion: tuple[OcclusionClass, ...]  # density classes, ascending; empty if states or spread are not known
    ranges: CoveredRanges  # what the scenes covered

    def differences(self, use: ModelUse, min_score: float) -> tuple[str, ...]:
        """Return why the record does not hold for a model's use and a least score of particles; () if it holds."""
        if self.model is None:
            return ("the record is of no model",)
        score = f"particles count from score {min_score:g}, validated from {self.min_score:g}"
        return (*use.differences(self.model), *((score,) if min_score != self.min_score else ()))


def bias_path(checkpoint: str | Path) -> Path:
    """Return the file of bias records of weights: ``checkpoints/x.pth`` → ``checkpoints/x.bias.json``."""
    return Path(checkpoint).with_suffix(ENDINGS[0])


def find_bias_file(checkpoint: str | Path) -> Path | None:
    """Return the file of bias records beside weights, by its present or its former name; None if neither exists."""
    return next(filter(Path.is_file, map(Path(checkpoint).with_suffix, ENDINGS)), None)


def read_bias_records(path: str | Path) -> tuple[BiasRecord, ...]:
    """Read the bias records of a file.

    Raises:
        BiasRecordError: the file is missing, damaged, or so old that it does not name weights and settings.
    """
    return bias_records_from_json(read_json(path, BiasRecordError), path)


def bias_records_from_json(data: Any, origin: str | Path) -> tuple[BiasRecord, ...]:
    """Return the bias records in a file's contents; raise the errors of `read_bias_records`."""
    if isinstance(data, dict) and "records" not in data and "residuals" in data:
        raise BiasRecordError(
            f"{origin}: an old record that does not say which weights, settings and precision it holds for; make it "
            "anew with tools/validate.py, or remove it to measure without correction"
        )
    if not isinstance(data, dict) or set(data) != {"records"} or not isinstance(data["records"], list):
        raise _damaged(origin, "the file holds no list of records")
    return tuple(bias_record_from_json(record, origin) for record in data["records"])


def write_bias_records(path: str | Path, records: Sequence[BiasRecord]) -> None:
    """Write a file of bias records, whole or not at all."""
    write_json(path, {"records": in_json(records)}, indent=1)


def bias_record_from_json(data: Any, origin: str | Path) -> BiasRecord:
    """Return the bias record that JSON values hold.

    Raises:
        BiasRecordError: a key is missing or unknown, a type is wrong, classes do not adjoin, the mean of a class lies
            outside it, or a range is reversed.
    """
    record = _read(data, BiasRecord, "", origin)
    ends = [residual.high_px for residual in record.residuals[:-1]]
    if ends != [residual.low_px for residual in record.residuals[1:]]:
        raise _damaged(origin, "residual classes do not adjoin")
    for each in record.residuals:
        if not each.low_px <= each.mean_ecd_px <= (math.inf if each.high_px is None else each.high_px):
            raise _damaged(origin, f"mean_ecd_px {each.mean_ecd_px:g} lies outside its class from {each.low_px:g} px")
    for name, ends in vars(record.ranges).items():
        if ends is not None and ends[0] > ends[1]:
            raise _damaged(origin, f"{name} of ranges is reversed: {list(ends)}")
    return record


def _read(data: Any, kind: type, name: str, origin: str | Path) -> Any:
    try:
        return from_json(data, kind, name)
    except ValueError as cause:
        raise _damaged(origin, str(cause)) from None


def _damaged(origin: str | Path, what: str) -> BiasRecordError:
    return BiasRecordError(f"{origin}: {what}; make it again with tools/validate.py")


def nearest_record(records: Sequence[BiasRecord], use: ModelUse, min_score: float) -> BiasRecord | None:
    """Return the record that holds for a use of a model, else that with the fewest differences; None without records.

    >>> nearest_record([], ModelUse("5f0c", "torch", "float32", {}), min_score=0.5) is None
    True
    """
    return min(records, key=lambda record: len(record.differences(use, min_score)), default=None)


def correct_sizes(residuals: Sequence[ResidualClass], sizes: np.ndarray, ecd_px: np.ndarray) -> np.ndarray:
    """Return (N,) sizes / (1 + mean residual at ``ecd_px``), in the unit of ``sizes``; unchanged without classes.

    >>> large = ResidualClass(0, None, 40.0, 0.25, standard_error=0.0, between_image_std=0.0, particles=90, images=2)
    >>> correct_sizes([large], sizes=np.array([100.0]), ecd_px=np.array([50.0]))
    array([80.])
    """
    return np.asarray(sizes) / (1 + mean_residual(residuals, ecd_px)) if residuals else np.array(sizes, np.float64)


def mean_residual(residuals: Sequence[ResidualClass], ecd_px: np.ndarray) -> np.ndarray:
    """Return (N,) relative residuals at found ECDs: linear in log size between the classes' means, constant beyond.

    >>> classes = [ResidualClass(0, None, size, size / 1000, 0.003, 0.004, 90, 6) for size in (10.0, 40.0)]
    >>> mean_residual(classes, np.array([1.0, 20.0, 99.0])).round(3)
    array([0.01 , 0.025, 0.04 ])
    """
    log_sizes = np.log([size_class.mean_ecd_px for size_class in residuals])
    return np.interp(np.log(ecd_px), log_sizes, [size_class.residual for size_class in residuals])


def model_uncertainty(residuals: Sequence[ResidualClass], ecd_px: float) -> tuple[float, float]:
    """Return the relative standard uncertainty of the mean residual at a size, and its degrees of freedom.

    It is √(standard error² + between-image spread²) of the class whose mean size is nearest by ratio. The spread counts
    in full, because images of another material or day may all share one error.
    """
    nearest = min(residuals, key=lambda size_class: abs(np.log(size_class.mean_ecd_px / ecd_px)))
    return float(np.hypot(nearest.standard_error, nearest.between_image_std)), nearest.images - 1.0


def _is_off(value: Any) -> bool:
    return value is None or value is False or value == []


def _setting(value: Any) -> str:
    return "off" if _is_off(value) else str(value)
