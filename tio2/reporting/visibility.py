"""The report of a test of a visibility model: states, calibration, completions and whole sizes by visible fraction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from semsize.measuring.record_tables import fraction_errors_table
from semsize.measuring.tables import markdown_table
from semsize.metrology.intervals import STATISTICS, statistics
from semsize.structures.files import in_json, write_json
from semsize.structures.states import FULLY_IMAGED_FRACTION, MASKED_FRACTION, VISIBILITY_CLASSES
from semsize.visibility.calibration import ReliabilityBin, expected_calibration_error
from semsize.visibility.judging import (
    COMPLETION_COLUMNS,
    JudgedOutlines,
    completion_table,
    confusion,
    errors_by_true_fraction,
    masked_rows,
    particle_reliability,
    selection_table,
    state_reliability,
)
from semsize.visibility.nesting import StatisticEffect
from semsize.visibility.reported_sizes import ReportedSizes

OF_KIND = {
    "fully_imaged": (
        "Fully imaged particles",
        "ECD of visible outlines, weighted with P(fully imaged) · P(particle)",
    ),
    "completed": (
        "Fully imaged and partly hidden particles, these completed",
        "ECD of visible outlines, weighted with P(fully imaged) · P(particle), and of whole ones, weighted with "
        "P(partly hidden) · P(particle)",
    ),
}
"""Kind of `ReportedSizes` to its title and to a description of the reported sizes."""


def write_visibility_report(
    folder: str | Path, judged: JudgedOutlines, sizes: Sequence[ReportedSizes], record: Mapping
) -> Path:
    """Write `visibility.md` and `metrics.json` into a split's folder.

    Args:
        folder: ``work_dirs/<config>/<split>``; made if missing.
        judged: the outlines of all images of the split.
        sizes: the sizes of each kind of particles whose truth is known in all images.
        record: contents of ``metrics.json``.

    Returns:
        Path of the report.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", in_json(record), indent=2)
    path = folder / "visibility.md"
    path.write_text(_report(judged, sizes, record), encoding="utf-8")
    return path


def _report(judged: JudgedOutlines, sizes: Sequence[ReportedSizes], record: Mapping) -> str:
    counts = confusion(judged)
    known = ~np.isnan(judged.is_particle)
    no_particle = int((judged.is_particle[known] == 0).sum())
    parts = [
        f"# Visibility: `{record['config']}` on {record['split']}",
        f"{record['images']:,} images, {len(judged.is_particle):,} outlines, of known and unknown truth; "
        f"{record['precision']}; weights {_weights(record['checkpoint'])}.",
        "Calibrated by the record beside the weights." if record.get("calibrated") else "Not calibrated.",
        "## States",
        f"Rows: the true class of {counts.sum():,} outlines; columns: the most probable class.",
        _confusion_table(counts),
        _reliability("Probability of the most probable class", state_reliability(judged)),
        "## Particle or not",
        f"{no_particle:,} of {known.sum():,} outlines match no particle.",
        _reliability("Probability of being a particle", particle_reliability(judged)),
        "## Fully imaged particles, chosen by a threshold",
        "Outlines whose P(fully imaged) · P(particle) reaches the threshold.",
        markdown_table(["threshold", "outlines", "precision", "recall"], selection_table(judged)),
        *(part for of_kind in sizes if len(of_kind.found) and len(of_kind.true) for part in _sizes(of_kind)),
        f"## Masked particles, {MASKED_FRACTION:g} to {FULLY_IMAGED_FRACTION:g} visible by the truth",
        markdown_table(["completion", *COMPLETION_COLUMNS], masked_rows(judged)),
        "## By predicted visible fraction",
        markdown_table(["completion", "predicted", *COMPLETION_COLUMNS], completion_table(judged)),
        "## Whole sizes and their intervals, by true visible fraction",
        f"Only particles that get a whole size: their predicted visible fraction is {MASKED_FRACTION:g} or more.",
        fraction_errors_table(errors_by_true_fraction(judged), "true visible fraction"),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _weights(checkpoints: Mapping | Sequence[Mapping]) -> str:
    """Return the shortened SHA-256 of the weights, or of each fold's weights."""
    return ", ".join(
        each["sha256"][:12] for each in ([checkpoints] if isinstance(checkpoints, Mapping) else checkpoints)
    )


def _sizes(sizes: ReportedSizes) -> list[str]:
    title, which = OF_KIND[sizes.kind]
    found, true = (dict(zip(STATISTICS, statistics(side).tolist(), strict=True)) for side in (sizes.found, sizes.true))
    rows = [
        [name, found[name], true[name], *(100 * (value - 1) for value in ratio)]
        for name, ratio in sizes.ratios().items()
    ]
    return [
        f"## {title}",
        f"{which}; particles off the border. Compared with the ECD of "
        f"{len(sizes.true):,} annotated particles, in nm (px if no pixel size is known); intervals by drawing "
        f"{len(sizes.images)} images with repeats.",
        markdown_table(["", "found", "annotated", "error, %", "90 % from", "to"], rows),
        *_steps(sizes),
    ]


def _steps(sizes: ReportedSizes) -> list[str]:
    """Return the sources of the error as a table; nothing for a single image or an empty population."""
    rows = [
        [step.name, *(100 * value for name in STATISTICS for value in _of_step(step.of(name)))]
        for step in sizes.steps()
    ]
    if not rows:
        return []
    return [
        "The same errors in steps, each from the population before, ± the standard error over images: overlooked "
        "particles, outlines of found particles, completion of hidden parts, states, outlines without a particle.",
        markdown_table(["step", *(cell for name in STATISTICS for cell in (f"{name}, %", "±"))], rows),
    ]


def _of_step(effect: StatisticEffect) -> tuple[float, float]:
    return math.expm1(effect.effect), effect.standard_error


def _confusion_table(counts: np.ndarray) -> str:
    rows = [
        [name, *row.tolist(), float(row[number] / row.sum()) if row.sum() else float("nan")]
        for number, (name, row) in enumerate(zip(VISIBILITY_CLASSES, counts, strict=True))
    ]
    right = float(np.trace(counts) / counts.sum()) if counts.sum() else float("nan")
    return markdown_table(["true", *VISIBILITY_CLASSES, "right"], [*rows, ["all", *counts.sum(axis=0).tolist(), right]])


def _reliability(statement: str, table: Sequence[ReliabilityBin]) -> str:
    rows = [
        [f"{row.low:.1f} to {row.high:.1f}", row.count, row.stated, row.observed, row.observed_low, row.observed_high]
        for row in table
        if row.count
    ]
    error = expected_calibration_error(table)
    header = ["probability", "outlines", "mean stated", "right", "95 % from", "to"]
    return f"{statement}; expected calibration error {error:.3f}.\n\n{markdown_table(header, rows)}"
