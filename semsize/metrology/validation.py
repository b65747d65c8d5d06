"""What is known of a model's measurements from scenes of known truth, and for which use of it: budget and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Range = tuple[float, float]


class ValidationError(ValueError):
    """A validation record is missing or not one; the message is one line that names the file."""


@dataclass(frozen=True)
class ModelUse:
    """A model and how it is used: what must be the same for a validation record to hold.

    Attributes:
        sha256: of the file of its weights.
        engine: what computes it, such as ``torch``.
        precision: of its products: ``float32``, ``bfloat16``, ``float16``.
        settings: dotted name to value, in JSON's terms, of what else decides detections: test pipeline (scales),
            thresholds, caps, views, anchors, tiles. One that is absent, None, False or an empty list is switched off.
    """

    sha256: str
    engine: str
    precision: str
    settings: Mapping[str, Any]

    def differences(self, validated: ModelUse) -> tuple[str, ...]:
        """What is not as it was validated, one phrase each; empty where all is the same."""
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
        fully_imaged: true particles that are fully imaged, of the same images.
        effect: D50 of all detections / D50 of the fully imaged truths - 1.
        standard_error: of ln(1 + effect): from the particles of its images, and from how images differ.
        between_image_std: standard deviation of ln(1 + effect) between images of one density, of all classes together.
        dof: degrees of freedom of the two.
    """

    low: float
    high: float
    images: int
    detected: int
    fully_imaged: int
    effect: float
    standard_error: float
    between_image_std: float
    dof: int


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
    """A model's record; `semsize.metrology.model_validation` makes it, `semsize.metrology.correction` applies it.

    Attributes:
        checkpoint: file name of the model, for people; None for a method without one.
        model: what the record holds for; None for a method that is no network: the record holds for no model.
        min_score: score from which particles were taken.
        min_dice: Dice coefficient from which they were matched.
        sources: what it rests on.
        residuals: by ascending size, adjoining.
        occlusion: by ascending density; empty where no truth tells states.
        ranges: what the scenes covered.
    """

    checkpoint: str | None
    model: ModelUse | None
    min_score: float
    min_dice: float
    sources: tuple[ValidationSource, ...]
    residuals: tuple[ResidualClass, ...]
    occlusion: tuple[OcclusionClass, ...]
    ranges: ValidatedRanges

    def differences(self, use: ModelUse, min_score: float) -> tuple[str, ...]:
        """Why the record does not hold for a model's use and a score from which particles count; empty if it does."""
        if self.model is None:
            return ("the record is of no model",)
        score = f"particles count from score {min_score:g}, validated from {self.min_score:g}"
        return (*use.differences(self.model), *((score,) if min_score != self.min_score else ()))


def nearest_validation(records: Sequence[ModelValidation], use: ModelUse, min_score: float) -> ModelValidation | None:
    """The record that holds for a use of a model, else the one with the fewest differences; None without any."""
    return min(records, key=lambda record: len(record.differences(use, min_score)), default=None)


def _is_off(value: Any) -> bool:
    return value is None or value is False or value == []


def _setting(value: Any) -> str:
    return "off" if _is_off(value) else str(value)
