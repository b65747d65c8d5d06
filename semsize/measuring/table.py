"""The particle table: one row a particle, columns of one length; what `particles.csv` holds and all numbers come from.

Values are those that stand in the file, nine digits: what is computed from the table can be computed again from it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.measuring.csv_files import PARTICLE_COLUMNS, found_rows, write_csv
from semsize.measuring.errors import InputError
from semsize.measuring.image_result import ImageResult
from semsize.metrology import border_weights, measure
from semsize.metrology.comparison import ImageFound
from semsize.structures.pixel_size import PixelSize

MEASURED_COLUMNS = (*PARTICLE_COLUMNS, "weight", "excluded")
"""`particles.csv` of a measurement: the columns that it has everywhere, the border weight, and why a particle is left
out of the distribution (empty: it is in)."""

_TEXTS = ("image", "state", "excluded")
_WHOLE = ("id", "touches_border", "on_caption")


@dataclass(frozen=True, eq=False)
class ParticleTable:
    """N particles.

    Attributes:
        columns: name to N values: str for image, state and excluded ("" where there is none), int for id and
            touches_border, else float with NaN where there is none.
    """

    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["image"])

    def __getitem__(self, name: str) -> np.ndarray:
        """(N,) values of a column."""
        return self.columns[name]

    @property
    def states(self) -> list[str | None]:
        """N states, None where not known."""
        return [state or None for state in self.columns["state"].tolist()]

    def with_column(self, name: str, values: np.ndarray) -> ParticleTable:
        """The same with one column replaced."""
        return ParticleTable({**self.columns, name: values})

    def write(self, path: Path) -> None:
        """Write `particles.csv`, whole or not at all."""
        write_csv(path, MEASURED_COLUMNS, self.rows())

    def rows(self) -> Iterable[dict[str, object]]:
        """One dict a particle, in Python's own types."""
        values = [self.columns[name].tolist() for name in MEASURED_COLUMNS]
        return (dict(zip(MEASURED_COLUMNS, row, strict=True)) for row in zip(*values, strict=True))


def make_table(
    results: Iterable[tuple[ImageResult, PixelSize | None]], states: Mapping[tuple[str, int], str]
) -> ParticleTable:
    """The table of measured images, in their order; nobody is excluded yet.

    It has a column more than the file, ``on_caption``, 1 for particles that touch a text or scale bar in the picture.

    Args:
        results: of the images, with their pixel sizes; each is let go before the next one is asked for.
        states: (image, id) to a state that somebody gave by hand; goes before the result's own.
    """
    columns: dict[str, list] = {name: [] for name in (*MEASURED_COLUMNS, "on_caption")}
    for result, pixel_size in results:
        measurands = measure(result.masks, pixel_size)
        weights = border_weights(result.masks.boxes, result.masks.image_shape).weights
        found = found_rows(result.file.name, ImageFound(result.masks, result.scores), measurands)
        for row, weight, state, on in zip(found, weights, result.states, result.on_caption, strict=True):
            row |= {"weight": weight, "state": states.get((row["image"], row["id"]), state), "excluded": ""}
            row |= {"y_px": row["y_px"] + result.top, "on_caption": int(on)}
            for name, values in columns.items():
                values.append(row[name])
        del result
    return ParticleTable({name: _as_written(name, values) for name, values in columns.items()})


def read_table(path: Path) -> ParticleTable:
    """What `ParticleTable.write` wrote.

    Raises:
        InputError: it is missing or something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        values = {name: [row[name] for row in rows] for name in MEASURED_COLUMNS}
        return ParticleTable({name: _parsed(name, texts) for name, texts in values.items()})
    except (OSError, KeyError, ValueError) as cause:
        raise InputError(f"{path}: no particle table of a measurement ({cause!r}); measure again") from None


def _as_written(name: str, values: Sequence) -> np.ndarray:
    if name in _TEXTS:
        return np.array([value or "" for value in values], object)
    if name in _WHOLE:
        return np.array(values, np.int64)
    return np.array([float(f"{value:.9g}") for value in values], np.float64)


def _parsed(name: str, texts: Sequence[str]) -> np.ndarray:
    if name in _TEXTS:
        return np.array(texts, object)
    if name in _WHOLE:
        return np.array(texts, np.int64) if texts else np.zeros(0, np.int64)
    return np.array([float(text) if text else np.nan for text in texts], np.float64)
