"""States brought in by hand: a CSV with the columns image, id and state, as a lab fills it in from overlays."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from semsize.exchange import meaning_of
from semsize.measuring.errors import InputError
from semsize.measuring.table import ParticleTable
from semsize.structures.states import STATES

_COLUMNS = ("image", "id", "state")


def read_states(path: Path) -> dict[tuple[str, int], str]:
    """(image, id) to state.

    States' names are understood in any case, with blanks or hyphens for underscores; rows without a state say nothing.

    Raises:
        InputError: the file cannot be read, lacks a column, or a row makes no sense; names the line.
    """
    states = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            sample = stream.read(4096)
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=";" if sample.count(";") > sample.count(",") else ",")
            missing = set(_COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}: lacks the column {', '.join(sorted(missing))}; give image, id and state")
            for row in reader:
                if (row["state"] or "").strip():
                    states[_particle(row, path, reader.line_num)] = _state(row["state"], path, reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise InputError(f"{path}: cannot be read ({cause}); give a CSV in UTF-8") from None
    return states


def unmatched_states(states: Mapping[tuple[str, int], str], table: ParticleTable) -> list[str]:
    """Particles of a states file that are not in the table, as words."""
    there = set(zip(table["image"].tolist(), table["id"].tolist(), strict=True))
    return [f"{image}: {number}" for image, number in states if (image, number) not in there]


def _particle(row: Mapping[str, str], path: Path, line: int) -> tuple[str, int]:
    try:
        return row["image"], int(row["id"])
    except (TypeError, ValueError):
        raise InputError(f"{path}, line {line}: {row['id']!r} is no particle's number") from None


def _state(text: str, path: Path, line: int) -> str:
    state = meaning_of(text, {})
    if state not in STATES:
        raise InputError(f"{path}, line {line}: {text!r} is no state; give one of {', '.join(STATES)}")
    return state
