"""What is known of a model's measurements from scenes of known truth: the record that budget and warnings read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

Range = tuple[float, float]


class ValidationError(ValueError):
    """A validation record is missing or not one; the message is one line that names the file."""


@dataclass(frozen=True)
class ValidationSource:
    """A set of images that the record rests on.

    Attributes:
        annotations: file name of the truth.
        predictions: file name of what was found.
        kind: ``annotated`` by people or ``rendered``.
        images: in number.
        pairs: true and found particles matched that don't touch the border.
    """

    annotations: str
    predictions: str
    kind: str
    images: int
    pairs: int


@dataclass(frozen=True)
class ResidualClass:
    """Relative ECD residuals (found - true)/true of the matched particles of a size class.

    Attributes:
        low_px: smallest ECD as found, included.
        high_px: largest, excluded; None for the class without an upper end.
        mean_ecd_px: mean of the ECDs found.
        residual: mean residual: Σ found/Σ true - 1 weighs by size, this by number.
        standard_error: of the mean, from the deviations of images.
        between_image_std: standard deviation of the images' own means, sampling of particles taken off.
        particles: in number.
        images: with such particles, at least two.
    """

    low_px: float
    high_px: float | None
    mean_ecd_px: float
    residual: float
    standard_error: float
    between_image_std: float
    particles: int
    images: int


@dataclass(frozen=True)
class OcclusionClass:
    """What hidden parts and overlooked particles do to D50 in images of some density.

    Attributes:
        low: lower end of the class: an image's area fraction of found masks, 0 to 1, included.
        high: upper end, excluded.
        images: in number.
        detected: particles found, those at the border left out, weighted for D50.
        fully_imaged: true particles that are fully imaged, likewise.
        effect: D50 of all detections / D50 of the fully imaged truths - 1.
    """

    low: float
    high: float
    images: int
    detected: int
    fully_imaged: int
    effect: float


@dataclass(frozen=True)
class ValidatedRanges:
    """Smallest and largest value that the scenes covered; None where none of them told.

    Attributes:
        nm_per_px: pixel size.
        ecd_px: 1 % and 99 % quantiles of the matched true particles' ECD.
        contrast_levels: median grey level of particles above that of the rest, of an image in levels of 0-255.
        area_fraction: of an image's found masks, 0 to 1.
    """

    nm_per_px: Range | None
    ecd_px: Range | None
    contrast_levels: Range | None
    area_fraction: Range | None


@dataclass(frozen=True)
class ModelValidation:
    """A model's record; `tio2.metrology.model_validation` makes it, `tio2.metrology.correction` applies it.

    Attributes:
        checkpoint: file name of the model; None for a method without one.
        min_score: score from which particles were taken.
        min_dice: Dice coefficient from which they were matched.
        sources: what it rests on.
        residuals: by ascending size, adjoining.
        occlusion: by ascending density; empty where no truth tells states.
        ranges: what the scenes covered.
    """

    checkpoint: str | None
    min_score: float
    min_dice: float
    sources: tuple[ValidationSource, ...]
    residuals: tuple[ResidualClass, ...]
    occlusion: tuple[OcclusionClass, ...]
    ranges: ValidatedRanges


def validation_to_dict(validation: ModelValidation) -> dict[str, Any]:
    """As JSON can hold it."""
    return asdict(validation)


def validation_from_dict(data: Any, origin: str) -> ModelValidation:
    """The record of a JSON file's contents.

    Args:
        data: what the file holds.
        origin: its name, for the message.

    Raises:
        ValidationError: a key is missing or unknown, a value of the wrong kind, classes overlap or a range is reversed.
    """
    read = _Reader(origin)
    top = read.record(data, ModelValidation, "the file")
    validation = ModelValidation(
        checkpoint=read.text_or_none(top["checkpoint"], "checkpoint"),
        min_score=read.number(top["min_score"], "min_score"),
        min_dice=read.number(top["min_dice"], "min_dice"),
        sources=tuple(read.flat(item, ValidationSource, f"source {n}") for n, item in read.items(top, "sources")),
        residuals=tuple(
            read.flat(item, ResidualClass, f"residual class {n}", optional=("high_px",))
            for n, item in read.items(top, "residuals")
        ),
        occlusion=tuple(
            read.flat(item, OcclusionClass, f"occlusion class {n}") for n, item in read.items(top, "occlusion")
        ),
        ranges=ValidatedRanges(
            **{
                name: read.range_or_none(value, name)
                for name, value in read.record(top["ranges"], ValidatedRanges, "ranges").items()
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

    def error(self, what: str) -> ValidationError:
        return ValidationError(f"{self.origin}: {what}; make it again with tools/validate.py")

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
