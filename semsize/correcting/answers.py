"""What a page is told of outlines, in JSON's terms."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from semsize.correcting.doubts import Doubts
from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.operations import Corrections
from semsize.correcting.results import scores_now
from semsize.measuring.particle_table import likeliest_state
from semsize.measuring.results_folder import ImageResult


def outline_rows(
    corrections: Corrections, result: ImageResult, doubts: Doubts, counted: Collection[int], numbers: Iterable[int]
) -> list[dict[str, Any]]:
    """A row for each of some outlines, ids ascending.

    Args:
        corrections: all outlines of the image.
        result: what was detected.
        doubts: of the outlines.
        counted: ids of those that count.
        numbers: ids of those to tell of.
    """
    touched, scores, counted = corrections.touched(), scores_now(corrections, result.scores), set(counted)
    judged = {number for each in corrections.done if each.kind != "particle" for number in each.after}
    rows = []
    for number, doubt in doubts.of(sorted(numbers)).items():
        outline = corrections.outlines[number]
        rows.append(
            {
                "id": number,
                "counts": outline.counts,
                "state": outline.state,
                "predicted": None if number in judged or outline.state else _predicted(result, number),
                "particle": outline.is_particle,
                "score": round(scores[number], 3) if number in scores else None,
                "corrected": number in touched,
                "counted": number in counted,
                "doubt": round(doubt, 3),
            }
        )
    return rows


def _predicted(result: ImageResult, number: int) -> dict[str, Any] | None:
    """The likeliest state of a detected outline and its probability, by the measurement's visibility model."""
    if not result.seen or number > len(result.scores):
        return None
    seen = {name: float(values[number - 1]) for name, values in result.seen.items()}
    state = likeliest_state(seen)
    return None if state is None else {"state": state, "probability": round(seen[f"p_{state}"], 2)}


def depths(corrections: Corrections) -> dict[str, int]:
    """How many operations can be taken back, and done again."""
    return {"done": len(corrections.done), "undone": len(corrections.undone)}


def scale_in_json(scale: DrawnScale) -> dict[str, Any]:
    """A scale bar that was drawn over, with the pixel size that it gives."""
    size = scale.pixel_size
    return {"ends": list(scale.ends), "length_nm": scale.length_nm, "nm_per_px": size.value_nm, "std_nm": size.std_nm}
