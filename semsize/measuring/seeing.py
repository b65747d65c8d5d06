"""Outlines with the states that an installed visibility model predicts: a source of outlines around another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np

from semsize.measuring.detectors import INSTALL
from semsize.measuring.inputs import InputError, VisibilityRequest
from semsize.measuring.outlines import Find, Frame, Outlines, OutlineSource
from semsize.measuring.particle_table import SEEN_COLUMNS
from semsize.structures.states import MASKED_FRACTION, STATES
from semsize.visibility.model import QUANTILES, VisibilityModel
from semsize.visibility.seeing import SeenParticles, see
from semsize.visibility.states import Thresholds

GROUP = "semsize.visibility"
MIDDLE = QUANTILES.index(0.5)


class VisibilitySource(Protocol):
    """A visibility model that can be opened; other processes get a pickle of it and open it."""

    def open(self, processes: int) -> tuple[VisibilityModel, Thresholds]:
        """The model, and the thresholds of the visible fraction between the states that it predicts."""

    def as_record(self) -> dict:
        """What it is, in JSON's terms, with the SHA-256 of its files and its licence."""


def find_visibility_model(request: VisibilityRequest) -> VisibilitySource:
    """The model of the first entry point of `semsize.visibility`, by name; `InputError` without one.

    An entry point is a function from a `VisibilityRequest` to a `VisibilitySource`.
    """
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if not found:
        raise InputError(f"--states predicted: no visibility model is installed; {INSTALL['torch']}")
    try:
        return found[0].load()(request)
    except ImportError as cause:
        why = f"the visibility model {found[0].name} cannot be loaded ({cause})"
        raise InputError(f"{why}; {INSTALL['torch']}, or leave out --states predicted") from None


@dataclass(frozen=True)
class SeenOutlines:
    """A source of outlines whose states a model predicts; states that the source itself gives stay."""

    source: OutlineSource
    model: VisibilitySource

    @property
    def notes(self) -> Sequence[str]:
        """What was odd in the source."""
        return getattr(self.source, "notes", ())

    def as_record(self) -> dict:
        """What the source is, and under `visibility` the model."""
        return {**self.source.as_record(), "visibility": self.model.as_record()}

    def open(self, processes: int) -> Find:
        """Make both ready."""
        find, (model, thresholds) = self.source.open(processes), self.model.open(processes)

        def seen(frame: Frame) -> Outlines:
            outlines = find(frame).without_empty()
            rows = outlines.masks.image_shape[0]  # drawn outlines may be of fewer rows than the frame
            particles = see(frame.grey[:rows], outlines.masks, model, thresholds)
            given = zip(outlines.states, particles.states, strict=True)
            states = tuple(of_source or predicted for of_source, predicted in given)
            return replace(outlines, states=states, seen=seen_columns(particles, outlines.states))

        return seen


def seen_columns(particles: SeenParticles, given: Sequence[str | None]) -> Mapping[str, np.ndarray]:
    """`SEEN_COLUMNS` of N outlines, sizes of those seen to 0.4 and more; a given state (else None) is certain."""
    probabilities = particles.state_probabilities.copy()
    for number, state in enumerate(given):
        if state is not None:
            probabilities[number] = [state == name for name in STATES]
    enough = particles.visible_fraction >= MASKED_FRACTION
    (ecd, feret_min, feret_max) = np.moveaxis(np.where(enough[:, None, None], particles.whole_sizes_px, np.nan), 1, 0)
    values = (
        *probabilities.T,
        np.where([state is None for state in given], particles.particle_probability, 1.0),
        particles.visible_fraction,
        *(ecd[:, MIDDLE], ecd[:, 0], ecd[:, -1], feret_min[:, MIDDLE], feret_max[:, MIDDLE]),
    )
    return dict(zip(SEEN_COLUMNS, values, strict=True))
