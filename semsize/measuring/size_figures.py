"""Figures of a size distribution, each with axes of its own: histogram, cumulative, logarithmic axis, Q-Q plot."""

from __future__ import annotations

from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from semsize.metrology import LogNormalFit, SizeDistribution, SizeSample, cumulative, quantile_points
from semsize.metrology.size_distribution import weighted_quantiles

NUMBER, VOLUME, FIT = "#1f5a99", "#c8553d", "#222222"
_MOST_POINTS = 600  # of a curve: more cannot be seen, and cost bytes
_MOST_BINS = 60
_SVG = {"svg.hashsalt": "tio2", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_LABEL = "equivalent circular diameter"


def size_figures(sample: SizeSample, distribution: SizeDistribution, unit: str) -> dict[str, bytes]:
    """Name to SVG of each figure; none below two particles.

    Args:
        sample: sizes as reported.
        distribution: of them.
        unit: of the sizes.
    """
    if len(sample) < 2:
        return {}
    drawn = {
        "histogram": lambda axes: _histogram(axes, sample, distribution, unit),
        "cumulative": lambda axes: _cumulative(axes, sample, distribution, unit),
        "logarithmic": lambda axes: _logarithmic(axes, sample, distribution.fit, unit),
    }
    if distribution.fit is not None:
        drawn["quantiles"] = lambda axes: _quantiles(axes, sample, distribution.fit, unit)
    figures = {}
    with matplotlib.rc_context(_SVG):
        for name, draw in drawn.items():
            figure = Figure(figsize=(5.2, 3.5), layout="constrained")
            draw(figure.subplots())
            stream = BytesIO()
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
            figures[name] = stream.getvalue()
    return figures


def _histogram(axes: Axes, sample: SizeSample, distribution: SizeDistribution, unit: str) -> None:
    edges = _edges(sample)
    axes.hist(sample.sizes, edges, weights=sample.weights, density=True, color=NUMBER, alpha=0.75, label="measured")
    if distribution.fit is not None:
        at = np.linspace(max(edges[0], edges[-1] / 500), edges[-1], 300)
        axes.plot(at, distribution.fit.density(at), color=FIT, linewidth=1.2, label="log-normal fit")
    axes.axvline(
        distribution.d50, color=VOLUME, linewidth=1, linestyle="--", label=f"D50 = {distribution.d50:.4g} {unit}"
    )
    axes.set(xlabel=f"{_LABEL} / {unit}", ylabel=f"q0 / {unit}⁻¹", xlim=(edges[0], edges[-1]))
    _legend_above(axes)


def _cumulative(axes: Axes, sample: SizeSample, distribution: SizeDistribution, unit: str) -> None:
    steps = cumulative(sample)
    for share, colour, label in ((steps.number, NUMBER, "by number, Q0"), (steps.volume, VOLUME, "by volume, Q3")):
        shown = _thinned(len(steps.sizes))
        axes.step(steps.sizes[shown], share[shown], where="post", color=colour, linewidth=1.3, label=label)
    if distribution.fit is not None:
        at = np.geomspace(steps.sizes[0], steps.sizes[-1], 300)
        axes.plot(
            at, distribution.fit.cumulative(at), color=FIT, linewidth=1, linestyle=":", label="log-normal fit of Q0"
        )
    marks = (distribution.d10, distribution.d50, distribution.d90)
    axes.plot(marks, (0.1, 0.5, 0.9), "o", color=NUMBER, markersize=4, label="D10, D50, D90 by number")
    axes.set(xlabel=f"{_LABEL} / {unit}", ylabel="cumulative share", ylim=(0, 1.01))
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _logarithmic(axes: Axes, sample: SizeSample, fit: LogNormalFit | None, unit: str) -> None:
    low, high = sample.sizes.min(), sample.sizes.max()
    edges = np.geomspace(low * 0.999, max(high, low * 1.01) * 1.001, len(_edges(sample)))
    logs = np.log(edges)
    share = np.histogram(sample.sizes, edges, weights=sample.weights)[0] / sample.weights.sum()
    axes.stairs(share / np.diff(logs), edges, fill=True, color=NUMBER, alpha=0.75, label="measured")
    if fit is not None:
        at = np.geomspace(edges[0], edges[-1], 300)
        axes.plot(at, fit.density(at) * at, color=FIT, linewidth=1.2, label="log-normal fit")
    axes.set_xscale("log")
    _name_few_ticks(axes.xaxis)
    axes.set(xlabel=f"{_LABEL} / {unit}, logarithmic axis", ylabel="dQ0 / d ln(size)")
    _legend_above(axes)


def _quantiles(axes: Axes, sample: SizeSample, fit: LogNormalFit, unit: str) -> None:
    fitted, measured = quantile_points(sample, fit)
    shown = _thinned(len(fitted))
    ends = [min(fitted[0], measured[0]), max(fitted[-1], measured[-1])]
    axes.plot(ends, ends, color=FIT, linewidth=0.9)
    axes.plot(fitted[shown], measured[shown], ".", color=NUMBER, markersize=3.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _name_few_ticks(axes.xaxis)
    _name_few_ticks(axes.yaxis)
    axes.set(xlabel=f"quantile of the log-normal fit / {unit}", ylabel=f"quantile measured / {unit}")
    axes.set_title(f"max |ΔQ0| = {fit.goodness:.3f}", fontsize=9)


def _name_few_ticks(axis: Axis) -> None:
    """Labels at 1, 2, 3, 5 and 7 times the powers of ten, as plain numbers."""
    axis.set_minor_locator(LogLocator(subs=(2, 3, 5, 7)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("{x:g}")
    axis.set_tick_params(which="minor", labelsize=8)


def _legend_above(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2,
                columnspacing=1.2, handlelength=1.6)  # fmt: skip


def _edges(sample: SizeSample) -> np.ndarray:
    """Bins of Freedman and Diaconis' width, 8 to `_MOST_BINS` of them."""
    low, high = sample.sizes.min(), sample.sizes.max()
    quartiles = weighted_quantiles(sample.sizes, sample.weights, (0.25, 0.75))
    width = 2 * (quartiles[1] - quartiles[0]) / len(sample) ** (1 / 3)
    count = int(np.clip(np.ceil((high - low) / width) if width > 0 else 8, 8, _MOST_BINS))
    return np.linspace(low, high, count + 1) if high > low else np.array([low * 0.95, low * 1.05])


def _thinned(count: int) -> np.ndarray:
    """Positions of at most `_MOST_POINTS` of `count` points, the ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(int))
