"""The interface of a visibility model: a function from crops around outlines to `CropAnswers`.

The network of `tio2.models` implements it; `semsize` knows no model by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from semsize.visibility.crops import CROP_PX
from semsize.visibility.states import BINS
from semsize.visibility.truth import SIZES

QUANTILES = (0.025, 0.5, 0.975)
"""Quantiles that a model gives of each size of the whole particle; the middle one is its estimate."""


@dataclass(frozen=True, eq=False)
class CropAnswers:
    """A model's answers for the particles in N crops."""

    fractions: np.ndarray  # (N, BINS) probabilities over equal bins of the visible fraction, each row adds up to 1
    is_particle: np.ndarray  # (N,) probability, 0 to 1, that there is a particle
    whole: np.ndarray  # (N, 64, 64) probability, 0 to 1, that a pixel of the crop belongs to the whole particle
    size_ratios: np.ndarray  # (N, 3, 3) `QUANTILES` of each of `SIZES`, whole particle / given outline

    def __post_init__(self):
        count = len(self.is_particle)
        shapes = (count, BINS), (count,), (count, CROP_PX, CROP_PX), (count, len(SIZES), len(QUANTILES))
        for field, shape in zip(fields(self), shapes, strict=True):
            found = getattr(self, field.name).shape
            if found != shape:
                raise ValueError(f"{field.name} of {count} crops must be {shape}, not {found}")

    def __len__(self) -> int:
        return len(self.is_particle)

    def __getitem__(self, index: slice | np.ndarray) -> CropAnswers:
        """The crops at a slice or an array of integers or booleans."""
        return CropAnswers(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def empty(cls) -> CropAnswers:
        """The answers for no crops."""
        shapes = (0, BINS), (0,), (0, CROP_PX, CROP_PX), (0, len(SIZES), len(QUANTILES))
        return cls(*map(np.zeros, shapes))

    @classmethod
    def cat(cls, parts: Iterable[CropAnswers]) -> CropAnswers:
        """Join the answers for several batches, at least one."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


class VisibilityModel(Protocol):
    """A function from crops (N, 4, 64, 64), see `semsize.visibility.crops.particle_crops`, to answers."""

    def __call__(self, crops: np.ndarray) -> CropAnswers:
        """The answers of N crops, in their order."""
        ...
