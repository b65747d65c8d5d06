"""What a measurement says on the screen: warnings, what was left out, the result, and where it was written."""

from __future__ import annotations

import math
from collections.abc import Mapping

from semsize.measuring.measurement import Measurement
from semsize.measuring.summary import Summary


def lines_of(measurement: Measurement) -> list[str]:
    """What is printed at the end: warnings, what was left out, the result, and where it was written."""
    summary, record = measurement.summary, measurement.record
    lines = [f"WARNING: {warning}" for warning in record["warnings"]]
    lines += [f"LEFT OUT: {image}: {error}" for image, error in measurement.skipped.items()]
    outlines, counted = record["outlines"], f"{summary.kept}"
    if "model" in outlines:
        lines.append(_model_line("model", outlines, outlines["model"]))
    if "visibility" in outlines:
        lines.append(_model_line("states", outlines["visibility"], outlines["visibility"]))
        counted = f"{summary.expected_particles:.1f}, by the probabilities of {summary.kept},"
    lines.append(f"{summary.quantity}: {counted} of {summary.detected} detected, in {summary.images} images")
    for name, budget in summary.budgets.items():
        label = f", {budget.label}" if budget.label else ""
        lines.append(
            f"{name:>5} = {budget.value:.4g} {budget.unit}, U = {budget.expanded:.2g} {budget.unit} "
            f"(k = {budget.coverage_factor:.2f}{label})"
        )
    label = f"; U: {summary.budgets['D50'].label}" if summary.en and summary.budgets["D50"].label else ""
    lines += [
        f"{of}: E_n = {en:.2f} against the reference (agrees from -1 to 1{label})" for of, en in summary.en.items()
    ]
    lines += _population_lines(summary)
    if summary.unsized >= 0.5:
        lines.append(f"too little is seen of {summary.unsized:.0f} particles for a size")
    lines.append(f"written: {measurement.folder}/report.html, particles.csv, predictions.json, record.json, overlays/")
    return lines


def _model_line(what: str, model: Mapping, use: Mapping) -> str:
    return f"{what}: {model['path']} ({model['licence']}), computed by {use['engine']} in {use['precision']}"


def _population_lines(summary: Summary) -> list[str]:
    """D50 of other particles than the fully imaged ones, by number and by volume, and how it differs from theirs.

    As in the report there are none where there is no size distribution.
    """
    lines = []
    for found in summary.populations[1:] if summary.budgets else ():
        d50, ratio, volume = found.number["D50"], found.number_ratio["D50"], found.volume["D50"]
        between = "" if math.isnan(ratio.low) else f" ({ratio.low:.3f} to {ratio.high:.3f})"
        lines.append(
            f"{found.quantity}: D50 = {d50.value:.4g} {summary.unit}, {ratio.value:.3f}{between} of that of the fully "
            f"imaged ones; by volume {volume.value:.4g} {summary.unit}"
        )
    return lines
