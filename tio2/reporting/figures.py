"""Figures of a test: sizes, residuals, overlap, thresholds; each a function that draws on a figure of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from semsize.metrology.comparison import STATE_GROUPS, ImageComparison
from semsize.metrology.distribution import quantiles
from semsize.metrology.summaries import (
    RESIDUAL_MEASURANDS,
    measured_sizes,
    residual_values,
    size_measurand,
    true_sizes,
)
from semsize.metrology.thresholds import ThresholdCurve

TRUE_COLOUR, FOUND_COLOUR = "#4477aa", "#ee6677"
GROUP_COLOURS = dict(zip(STATE_GROUPS, ("#228833", "#88aa22", "#ccaa33", "#aa7755"), strict=True))
RESIDUAL_RANGE_PERCENT = 25
DOTS_PER_INCH = 110


def write_figure(path: str | Path, figure: Figure) -> None:
    """Writes a PNG, making the folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path)


def size_histograms(images: Sequence[ImageComparison]) -> Figure:
    """Histograms of the ECD, reference and measured, of all and of useful particles, and their cumulative curves."""
    figure = _figure(11, 6.5)
    axes = figure.subplots(2, 2)
    unit = size_measurand(images).rpartition("_")[2]
    for column, group in enumerate(("all", "useful")):
        true, found = true_sizes(images, group), measured_sizes(images, group)
        _histogram_pair(axes[0, column], true, found, f"{group} particles")
        for sizes, colour in ((true, TRUE_COLOUR), (found, FOUND_COLOUR)):
            if sizes.size:
                axes[1, column].step(np.sort(sizes), np.arange(1, len(sizes) + 1) / len(sizes), color=colour)
                axes[1, column].plot(quantiles(sizes), (0.1, 0.5, 0.9), "o", color=colour, markersize=4)
        axes[1, column].set(xlabel=f"ECD, {unit}", ylabel="cumulative, by number")
    return figure


def residual_histograms(images: Sequence[ImageComparison], group: str = "useful") -> Figure:
    """Histograms of the residuals of every measurand over the matched particles of a group."""
    figure = _figure(13, 6)
    for axes, measurand in zip(figure.subplots(2, 4).flat, RESIDUAL_MEASURANDS, strict=True):
        values = residual_values(images, group, measurand)
        shown = np.clip(values, -RESIDUAL_RANGE_PERCENT, RESIDUAL_RANGE_PERCENT)
        axes.hist(shown, bins=np.linspace(-RESIDUAL_RANGE_PERCENT, RESIDUAL_RANGE_PERCENT, 51), color=FOUND_COLOUR)
        axes.axvline(0, color="black", linewidth=0.8)
        if values.size > 1:
            axes.axvline(values.mean(), color=TRUE_COLOUR, linestyle="--", linewidth=1)
            axes.set_title(f"{_title(measurand)}: {values.mean():+.2f} ± {values.std(ddof=1):.2f} %", fontsize=9)
        axes.set_xlabel("residual, %", fontsize=8)
    figure.suptitle(
        f"(measured - reference) / reference, {group} particles; mean ± standard deviation; "
        "the outer bars hold what lies beyond",
        fontsize=10,
    )
    return figure


def residual_against_size(images: Sequence[ImageComparison]) -> Figure:
    """Residual of the ECD against the reference ECD, coloured by state, with means over equal numbers of particles."""
    figure = _figure(9, 5)
    axes = figure.subplots()
    name = size_measurand(images)
    everything = []
    for group, colour in {**GROUP_COLOURS, "all": "#bbbbbb"}.items():
        pairs = [
            (getattr(i.true_measurands, name)[i.matching.truth][chosen], i.residuals_percent(name)[chosen])
            for i in images
            for chosen in [i.matched_members(group)]
        ]
        size, residual = (np.concatenate(values) for values in zip(*pairs, strict=True)) if pairs else ([], [])
        if group == "all":
            everything = [size, residual]
            axes.scatter(size, residual, s=5, color=colour, zorder=1, label="state not known")
        elif len(size):
            axes.scatter(size, residual, s=7, color=colour, zorder=2, label=group)
    _running_mean(axes, *everything)
    axes.axhline(0, color="black", linewidth=0.8)
    limit = RESIDUAL_RANGE_PERCENT
    axes.set(xlabel=f"reference ECD, {name[-2:]}", ylabel="residual of the ECD, %", ylim=(-limit, limit))
    if len(everything[0]):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="x", which="minor", labelsize=7)
    axes.legend(fontsize=8)
    return figure


def dice_histogram(images: Sequence[ImageComparison]) -> Figure:
    """Dice coefficients of the matched particles, stacked by state."""
    figure = _figure(8, 4)
    axes = figure.subplots()
    groups = {g: [i.matching.dice[i.matched_members(g)] for i in images] for g in STATE_GROUPS}
    values = {group: np.concatenate(parts) if parts else np.empty(0) for group, parts in groups.items()}
    shown = {group: dice for group, dice in values.items() if dice.size}
    if shown:
        colours = [GROUP_COLOURS[group] for group in shown]
        axes.hist(list(shown.values()), bins=np.linspace(0.75, 1, 51), stacked=True, label=list(shown), color=colours)
        axes.legend(fontsize=8)
    axes.set(xlabel="Dice coefficient", ylabel="matched particles")
    return figure


def threshold_figure(curve: ThresholdCurve) -> Figure:
    """Useful particles found, false positives and error of D50 against the score threshold; the suggestion dashed."""
    figure = _figure(11, 4)
    left, right = figure.subplots(1, 2)
    left.plot(curve.scores, 100 * curve.useful_found / max(curve.useful, 1), "o-", label="useful found", ms=3)
    left.plot(curve.scores, 100 * curve.false_positives / max(curve.useful, 1), "o-", label="false positives", ms=3)
    left.set(xlabel="score threshold", ylabel="% of the useful particles that are there")
    left.legend(fontsize=8)
    right.plot(curve.scores, curve.d50_errors_percent, "o-", color=FOUND_COLOUR, ms=3)
    right.axhline(0, color=TRUE_COLOUR)
    right.set(xlabel="score threshold", ylabel="error of D50, %")
    point = curve.operating_point
    for axes in (left, right):
        axes.axvspan(point.plateau_from, point.plateau_to, color="black", alpha=0.08)
        axes.axvline(curve.suggested, color="black", linestyle="--", linewidth=0.8)
    return figure


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")


def _histogram_pair(axes: Axes, true: np.ndarray, found: np.ndarray, title: str) -> None:
    both = np.concatenate([true, found])
    if both.size:
        bins = np.linspace(0, quantiles(both, (0.995,))[0] * 1.02, 41)
        axes.hist(true, bins=bins, color=TRUE_COLOUR, alpha=0.55, label=f"reference ({len(true)})")
        axes.hist(
            found, bins=bins, histtype="step", linewidth=1.6, color=FOUND_COLOUR, label=f"measured ({len(found)})"
        )
        axes.legend(fontsize=8)
    axes.set(title=title, ylabel="particles")


def _running_mean(axes: Axes, size: np.ndarray, residual: np.ndarray, bins: int = 10) -> None:
    if len(size) < 2 * bins:
        return
    order = np.argsort(size)
    parts = np.array_split(order, bins)
    at = [np.median(size[part]) for part in parts]
    axes.errorbar(
        at,
        [residual[part].mean() for part in parts],
        [residual[part].std(ddof=1) for part in parts],
        color="black",
        fmt="o-",
        markersize=4,
        capsize=3,
        linewidth=1,
        zorder=3,
        label="mean ± standard deviation",
    )


def _title(measurand: str) -> str:
    return measurand.removesuffix("_px").replace("_", " ").replace("ecd", "ECD")
