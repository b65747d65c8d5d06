"""The table of particles: its columns, states from a file, and the particles that the distribution leaves out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semsize.exchange import meaning_of
from semsize.measuring.inputs import InputError, MeasurementSettings
from semsize.measuring.results_folder import ImageResult
from semsize.measuring.tables import PARTICLE_COLUMNS, csv_rows, found_rows, write_csv
from semsize.metrology import border_weights, measure, population
from semsize.metrology.comparison import ImageFound
from semsize.structures.pixel_size import PixelSize
from semsize.structures.states import FULLY_IMAGED_STATES, STATES
from semsize.visibility.truth import SIZES

MEASURED_COLUMNS = (*PARTICLE_COLUMNS, "weight", "excluded")
"""Columns of a measurement's `particles.csv`; `excluded` says why a particle is left out (empty: counted)."""

VISIBILITY_COLUMNS = (
    *(f"p_{state}" for state in STATES),
    "p_particle",
    "visible_fraction",
    *(f"whole_{size}{end}_px" for size in SIZES for end in ("", "_low", "_high")),
)
"""A visibility model's answers for an outline: probabilities of the states and of being a particle, the expected
visible fraction, and sizes of the whole particle, NaN if too little of it is visible. Low and high are the ends of a
95 % interval, the model's own if no record calibrates it. All columns are NaN below the score threshold."""

PREDICTED_COLUMNS = (
    *VISIBILITY_COLUMNS,
    *(name.replace("_px", "_nm") for name in VISIBILITY_COLUMNS if name.endswith("_px")),
    "completed",
)
"""Further columns of `particles.csv` with predicted states; `completed`: 1 for a masked particle with a whole size."""

SMALLEST_PROBABILITY = 1e-6  # outlines less probable to be a fully imaged particle are left out

SCORE, CAPTION, BORDER, TOO_SMALL, NO_PIXEL_SIZE = "score", "caption", "border", "too small", "no pixel size"
NOT_FULLY_IMAGED, STATE_UNKNOWN = "not fully imaged", "state unknown"
REASONS = (SCORE, CAPTION, NO_PIXEL_SIZE, BORDER, TOO_SMALL, NOT_FULLY_IMAGED, STATE_UNKNOWN)
"""Values of the column `excluded`, in the order in which they are checked.

The score is checked first, so every particle excluded for another reason, or counted, is a detection."""

_TEXTS = ("image", "state", "given_state", "excluded")
_WHOLE = ("id", "touches_border", "on_caption", "completed")


@dataclass(frozen=True, eq=False)
class ParticleTable:
    """A table of N particles, by column.

    Columns of `_TEXTS` hold str ("" if missing), columns of `_WHOLE` int, all others float (NaN if missing).
    """

    columns: Mapping[str, np.ndarray]  # name to N values
    unit: str  # unit of sizes in the report: nm if the pixel size of any image is known, else px

    def __len__(self) -> int:
        return len(self.columns["image"])

    def __getitem__(self, name: str) -> np.ndarray:
        """(N,) values of a column."""
        return self.columns[name]

    @property
    def states(self) -> list[str | None]:
        """States of the N particles, None where not known."""
        return [state or None for state in self.columns["state"].tolist()]

    @property
    def is_predicted(self) -> bool:
        """Whether a visibility model predicted the states."""
        return "p_particle" in self.columns

    @property
    def fully_imaged_probability(self) -> np.ndarray:
        """(N,) probability that an outline is a fully imaged particle; 1 if states are not predicted."""
        return self.probability(*FULLY_IMAGED_STATES) if self.is_predicted else np.ones(len(self))

    def probability(self, *states: str) -> np.ndarray:
        """(N,) probability that an outline is a particle in one of these states; needs predicted states."""
        return np.minimum(self["p_particle"] * sum(self[f"p_{state}"] for state in states), 1)

    @property
    def weights(self) -> np.ndarray:
        """(N,) how much each particle counts: its border weight, times `fully_imaged_probability` if not excluded."""
        return np.where(self["excluded"] == "", self["weight"] * self.fully_imaged_probability, self["weight"])

    @property
    def file_columns(self) -> tuple[str, ...]:
        """Columns of the file `particles.csv`."""
        return (*MEASURED_COLUMNS, *(PREDICTED_COLUMNS if self.is_predicted else ()))

    def part(self, rows: slice | np.ndarray) -> ParticleTable:
        """The table with these rows only."""
        return replace(self, columns={name: values[rows] for name, values in self.columns.items()})

    def with_column(self, name: str, values: np.ndarray) -> ParticleTable:
        """The table with one column added or replaced."""
        return replace(self, columns={**self.columns, name: values})

    def without_states(self) -> ParticleTable:
        """The table without any state, given or predicted."""
        kept = {name: values for name, values in self.columns.items() if name not in PREDICTED_COLUMNS}
        return replace(self, columns={**kept, "state": np.full(len(self), "", object)})

    def write(self, path: Path) -> None:
        """Write `particles.csv`, whole or not at all."""
        write_csv(path, self.file_columns, self.rows())

    def rows(self) -> Iterable[dict[str, object]]:
        """One dict per particle, of Python's own types, with `file_columns` as keys."""
        values = [self.columns[name].tolist() for name in self.file_columns]
        return (dict(zip(self.file_columns, row, strict=True)) for row in zip(*values, strict=True))


def make_table(
    results: Iterable[tuple[ImageResult, PixelSize | None]],
    states: Mapping[tuple[str, int], str],
    source: str = "given",
) -> ParticleTable:
    """Make the table of measured images, in their order; no particle is excluded yet.

    The table has two columns more than the file: ``on_caption``, 1 for particles that touch a text or scale bar drawn
    into the picture, and ``given_state``, the state if a file or the source of outlines gives it, not a model.

    Args:
        results: results of the images, with their pixel sizes; each is released before the next is requested.
        states: (image, id) to a state from a states file, which overrides the state in the result.
        source: given, predicted or none; predicted requires results with predicted states.
    """
    predicted = PREDICTED_COLUMNS if source == "predicted" else ()
    columns: dict[str, list] = {name: [] for name in (*MEASURED_COLUMNS, "on_caption", "given_state", *predicted)}
    unit = "px"
    for result, pixel_size in results:
        unit = unit if pixel_size is None else "nm"
        measurands = measure(result.masks, pixel_size)
        weights = border_weights(result.masks.boxes, result.masks.image_shape)
        found = found_rows(result.file.name, ImageFound(result.masks, result.scores), measurands)
        own_states = (None,) * len(result.states) if source == "none" else result.states
        seen = zip(*result.seen.values(), strict=True) if predicted else ((),) * len(own_states)
        for row, weight, state, on, of_model in zip(found, weights, own_states, result.on_caption, seen, strict=True):
            by_hand = states.get((row["image"], row["id"]))
            given = by_hand or state
            row |= {"weight": weight, "state": given, "given_state": given, "excluded": ""}
            row |= {"y_px": row["y_px"] + result.top, "on_caption": int(on)}
            if predicted:
                row |= _predicted(dict(zip(result.seen, of_model, strict=True)), given, by_hand, pixel_size)
            for name, values in columns.items():
                values.append(row[name])
        del result
    return ParticleTable({name: _column(name, values) for name, values in columns.items()}, unit)


def read_table(path: Path, unit: str) -> ParticleTable:
    """Read a table that `ParticleTable.write` wrote; `unit` is the unit of its sizes in the report.

    Raises:
        InputError: the file is missing or no particle table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv_rows(stream)
            rows = list(reader)
        further = PREDICTED_COLUMNS if "p_particle" in (reader.fieldnames or ()) else ()
        columns = (*MEASURED_COLUMNS, *further)
        return ParticleTable({name: _column(name, [row[name] for row in rows]) for name in columns}, unit)
    except (OSError, KeyError, ValueError) as cause:
        raise InputError(f"{path}: no particle table of a measurement ({cause!r}); measure again") from None


def _predicted(
    seen: dict[str, float], given: str | None, by_hand: str | None, pixel_size: PixelSize | None
) -> dict[str, object]:
    """Return the `PREDICTED_COLUMNS` of a particle and its state: the given one, else the most probable."""
    if by_hand is not None:
        seen |= {f"p_{name}": float(name == by_hand) for name in STATES} | {"p_particle": 1.0}
    state = given
    if given is None:
        state = likeliest_state(seen)
    seen = dict.fromkeys(VISIBILITY_COLUMNS, np.nan) | seen  # files of earlier versions lack some columns
    lengths = {name: value for name, value in seen.items() if name.endswith("_px")}
    in_nm = {
        name.replace("_px", "_nm"): np.nan if pixel_size is None else float(pixel_size.to_nm(value))
        for name, value in lengths.items()
    }
    return seen | in_nm | {"state": state, "completed": int(state == "masked" and not np.isnan(seen["whole_ecd_px"]))}


def likeliest_state(seen: Mapping[str, float]) -> str | None:
    """The most probable state by the `VISIBILITY_COLUMNS` of an outline; None if the model did not see it."""
    return None if np.isnan(seen["p_particle"]) else max(STATES, key=lambda name: seen[f"p_{name}"])


def _column(name: str, values: Sequence) -> np.ndarray:
    """Convert a column's values, or their texts in the file, to the table's types; floats keep nine digits."""
    if name in _TEXTS:
        return np.array([value or "" for value in values], object)
    if name in _WHOLE:
        return np.array(values, np.int64)
    return np.array([float(f"{float(value if value != '' else 'nan'):.9g}") for value in values], np.float64)


def read_states(path: Path) -> dict[tuple[str, int], str]:
    """Read (image, id) to state from a CSV file; rows without a state are left out.

    Names of states may be in upper or lower case, with blanks or hyphens for underscores.

    Raises:
        InputError: the file cannot be read, lacks a column, or has an invalid row; the message names the line.
    """
    states = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            sample = stream.read(4096)
            stream.seek(0)
            reader = csv_rows(stream, ";" if sample.count(";") > sample.count(",") else ",")
            missing = {"image", "id", "state"} - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}: lacks the column {', '.join(sorted(missing))}; give image, id and state")
            if "p_particle" in reader.fieldnames:
                raise InputError(
                    f"{path}: a model predicted these states; give states that a person gave, or --states predicted"
                )
            for row in reader:
                if (row["state"] or "").strip():
                    line = f"{path}, line {reader.line_num}"
                    particle, state = _particle(row, line), meaning_of(row["state"], {})
                    if state not in STATES:
                        raise InputError(f"{line}: {row['state']!r} is no state; give one of {', '.join(STATES)}")
                    if states.setdefault(particle, state) != state:
                        other = f"particle {particle[1]} of {particle[0]} is {states[particle]} in an earlier line"
                        raise InputError(f"{line}: {other}, and {state} here; keep one of the lines")
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise InputError(f"{path}: cannot be read ({cause}); give a CSV in UTF-8") from None
    return states


def _particle(row: Mapping[str, str], line: str) -> tuple[str, int]:
    try:
        return row["image"], int(row["id"])
    except (TypeError, ValueError):
        raise InputError(f"{line}: the id {row['id']!r} is no whole number") from None


def unmatched_states(states: Mapping[tuple[str, int], str], table: ParticleTable) -> list[str]:
    """Return a note on the rows of a states file that match no particle of the table; empty if all rows match."""
    there = set(zip(table["image"].tolist(), table["id"].tolist(), strict=True))
    names = [f"{image}: {number}" for image, number in states if (image, number) not in there]
    some = ", ".join(names[:4])
    return [f"{len(names)} rows of the states file are of no particle that was measured: {some}"] if names else []


def with_exclusions(table: ParticleTable, settings: MeasurementSettings) -> ParticleTable:
    """Fill in the column `excluded` of a table from `make_table`."""
    alone = {  # reasons that do not depend on other particles, before those of states, which do
        SCORE: table["score"].astype(np.float32) < np.float32(settings.score),  # as `ImageResult.counted` compares
        CAPTION: table["on_caption"] == 1,
        NO_PIXEL_SIZE: np.isnan(table["ecd_nm"]) & (table.unit == "nm"),
        BORDER: table["touches_border"] == 1,
        TOO_SMALL: table["ecd_px"] < settings.min_size_px,
    }
    reasons = np.full(len(table), "", object)
    for reason, applies in alone.items():
        reasons[(reasons == "") & applies] = reason
    if table.is_predicted:
        reasons[(reasons == "") & (table.fully_imaged_probability < SMALLEST_PROBABILITY)] = NOT_FULLY_IMAGED
        return table.with_column("excluded", reasons)
    kept = np.flatnonzero(reasons == "")
    states = table.states
    split = population([states[index] for index in kept])
    reasons[kept[split.not_fully_imaged]] = NOT_FULLY_IMAGED
    reasons[kept[split.unknown]] = STATE_UNKNOWN
    return table.with_column("excluded", reasons)


def is_detected(table: ParticleTable) -> np.ndarray:
    """(N,) bool: whether a particle's score reaches the threshold, whether it is counted or excluded."""
    return table["excluded"] != SCORE


def is_left_to_states(table: ParticleTable) -> np.ndarray:
    """(N,) bool: whether nothing but the state decides if a particle is in the distribution."""
    return np.isin(table["excluded"].astype(str), ("", NOT_FULLY_IMAGED, STATE_UNKNOWN))
