"""Which particles are left out of the distribution, each for the first reason that applies to it."""

from __future__ import annotations

import numpy as np

from semsize.measuring.settings import Settings
from semsize.measuring.table import ParticleTable
from semsize.metrology import population

SCORE, CAPTION, BORDER, TOO_SMALL, NO_PIXEL_SIZE = "score", "caption", "border", "too small", "no pixel size"
NOT_FULLY_IMAGED, STATE_UNKNOWN = "not fully imaged", "state unknown"
REASONS = (SCORE, CAPTION, NO_PIXEL_SIZE, BORDER, TOO_SMALL, NOT_FULLY_IMAGED, STATE_UNKNOWN)
"""What the column `excluded` of the table says, in the order in which reasons are asked.

The score is asked first: whatever is excluded for another reason, or not at all, was detected."""


def with_exclusions(table: ParticleTable, settings: Settings) -> ParticleTable:
    """A table of `make_table` with its column `excluded` filled in."""
    reasons = np.full(len(table), "", object)
    for reason, applies in single_reasons(table, settings).items():
        reasons[(reasons == "") & applies] = reason
    kept = np.flatnonzero(reasons == "")
    states = table.states
    split = population([states[index] for index in kept])
    reasons[kept[split.rest]] = NOT_FULLY_IMAGED
    reasons[kept[split.unknown]] = STATE_UNKNOWN
    return table.with_column("excluded", reasons)


def single_reasons(table: ParticleTable, settings: Settings) -> dict[str, np.ndarray]:
    """Reason to (N,) bool, of those that need no other particle; states come after them."""
    return {
        SCORE: table["score"] < settings.score,
        CAPTION: table["on_caption"] == 1,
        NO_PIXEL_SIZE: np.isnan(table["ecd_nm"]) & (unit_of(table) == "nm"),
        BORDER: table["touches_border"] == 1,
        TOO_SMALL: table["ecd_px"] < settings.min_size_px,
    }


def unit_of(table: ParticleTable) -> str:
    """``nm`` if the pixel size of any particle is known, else ``px``."""
    return "px" if np.isnan(table["ecd_nm"]).all() else "nm"


def is_detected(table: ParticleTable) -> np.ndarray:
    """(N,) bool: from the score threshold on, counted or excluded for whatever other reason."""
    return table["excluded"] != SCORE


def excluded_for(table: ParticleTable) -> dict[str, np.ndarray]:
    """Each of `REASONS` to (N,) bool: which particles are left out for it."""
    return {reason: table["excluded"] == reason for reason in REASONS}
