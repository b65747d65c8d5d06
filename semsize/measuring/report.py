"""The report of a measurement: an HTML file with figures and thumbnails, and the lines printed at the end."""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING
from urllib.parse import quote

import matplotlib
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from semsize.measuring.inputs import ImageFile
from semsize.measuring.pictures import Drawn
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.summary import Summary
from semsize.metrology import SizeSample, cumulative, quantile_points
from semsize.metrology.size_distribution import weighted_quantiles
from semsize.structures.files import write_whole
from semsize.structures.states import FULLY_IMAGED_FRACTION, MASKED_FRACTION

if TYPE_CHECKING:
    from semsize.measuring.measurement import Measurement

NUMBER, VOLUME, FIT = "#1f5a99", "#c8553d", "#222222"
CAPTIONS = {
    "histogram": "Density by number with the log-normal fit.",
    "cumulative": "Cumulative distribution by number (Q0) and by volume of spheres of the same diameter (Q3).",
    "logarithmic": "Density by number over the logarithm of size; a log-normal distribution is a bell here.",
    "quantiles": "Q–Q plot: quantiles measured against those of the log-normal fit; on the line they agree.",
}
DASH = "–"
_MOST_POINTS = 600  # of a curve: more points cannot be seen and make the file larger
_MOST_BINS = 60
_SVG = {"svg.hashsalt": "tio2", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
_LABEL = "equivalent circular diameter"


def size_figures(summary: Summary) -> dict[str, bytes]:
    """Draw the figures: name (key of `CAPTIONS`) to SVG; empty for fewer than two particles."""
    if summary.kept < 2:
        return {}
    drawings = {"histogram": _histogram, "cumulative": _cumulative, "logarithmic": _logarithmic}
    if summary.distribution.fit is not None:
        drawings["quantiles"] = _quantiles
    figures = {}
    with matplotlib.rc_context(_SVG):
        for name, draw in drawings.items():
            figure = Figure(figsize=(5.2, 3.5), layout="constrained")
            draw(figure.subplots(), summary)
            stream = BytesIO()
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
            figures[name] = stream.getvalue()
    return figures


def _histogram(axes: Axes, summary: Summary) -> None:
    sample, dist, unit = summary.sample, summary.distribution, summary.unit
    edges = _edges(sample)
    axes.hist(sample.sizes, edges, weights=sample.weights, density=True, color=NUMBER, alpha=0.75, label="measured")
    if dist.fit is not None:
        at = np.linspace(max(edges[0], edges[-1] / 500), edges[-1], 300)
        axes.plot(at, dist.fit.density(at), color=FIT, linewidth=1.2, label="log-normal fit")
    axes.axvline(dist.d50, color=VOLUME, linewidth=1, linestyle="--", label=f"D50 = {dist.d50:.4g} {unit}")
    axes.set(xlabel=f"{_LABEL} / {unit}", ylabel=f"q0 / {unit}⁻¹", xlim=(edges[0], edges[-1]))
    _legend_above(axes)


def _cumulative(axes: Axes, summary: Summary) -> None:
    steps, dist = cumulative(summary.sample), summary.distribution
    for share, colour, label in ((steps.number, NUMBER, "by number, Q0"), (steps.volume, VOLUME, "by volume, Q3")):
        shown = _thinned(len(steps.sizes))
        axes.step(steps.sizes[shown], share[shown], where="post", color=colour, linewidth=1.3, label=label)
    if dist.fit is not None:
        at = np.geomspace(steps.sizes[0], steps.sizes[-1], 300)
        axes.plot(at, dist.fit.cumulative(at), color=FIT, linewidth=1, linestyle=":", label="log-normal fit of Q0")
    marks = (dist.d10, dist.d50, dist.d90)
    axes.plot(marks, (0.1, 0.5, 0.9), "o", color=NUMBER, markersize=4, label="D10, D50, D90 by number")
    axes.set(xlabel=f"{_LABEL} / {summary.unit}", ylabel="cumulative share", ylim=(0, 1.01))
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _logarithmic(axes: Axes, summary: Summary) -> None:
    sample, fit = summary.sample, summary.distribution.fit
    low, high = sample.sizes.min(), sample.sizes.max()
    edges = np.geomspace(low * 0.999, max(high, low * 1.01) * 1.001, len(_edges(sample)))
    share = np.histogram(sample.sizes, edges, weights=sample.weights)[0] / sample.weights.sum()
    density = share / np.diff(np.log(edges))
    axes.stairs(density, edges, fill=True, color=NUMBER, alpha=0.75, label="measured")
    if fit is not None:
        at = np.geomspace(edges[0], edges[-1], 300)
        axes.plot(at, fit.density(at) * at, color=FIT, linewidth=1.2, label="log-normal fit")
    _logarithmic_scale(axes, "x")
    axes.set(xlabel=f"{_LABEL} / {summary.unit}, logarithmic axis", ylabel="dQ0 / d ln(size)")
    _legend_above(axes)


def _quantiles(axes: Axes, summary: Summary) -> None:
    fit, unit = summary.distribution.fit, summary.unit
    fitted, measured = quantile_points(summary.sample, fit)
    shown = _thinned(len(fitted))
    ends = [min(fitted[0], measured[0]), max(fitted[-1], measured[-1])]
    axes.plot(ends, ends, color=FIT, linewidth=0.9)
    axes.plot(fitted[shown], measured[shown], ".", color=NUMBER, markersize=3.5)
    _logarithmic_scale(axes, "xy")
    axes.set(xlabel=f"quantile of the log-normal fit / {unit}", ylabel=f"quantile measured / {unit}")
    axes.set_title(f"max |ΔQ0| = {fit.goodness:.3f}", fontsize=9)


def _logarithmic_scale(axes: Axes, names: str) -> None:
    """Make axes logarithmic, with plain numbers at 1, 2, 3, 5 and 7 times the powers of ten."""
    for name in names:
        axes.set(**{f"{name}scale": "log"})
    for name in names:
        axis = getattr(axes, f"{name}axis")
        axis.set_minor_locator(LogLocator(subs=(2, 3, 5, 7)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
        axis.set_tick_params(which="minor", labelsize=8)


def _legend_above(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2,
                columnspacing=1.2, handlelength=1.6)  # fmt: skip


def _edges(sample: SizeSample) -> np.ndarray:
    """Edges of 8 to `_MOST_BINS` bins of Freedman and Diaconis' width; one bin if all sizes are equal."""
    low, high = sample.sizes.min(), sample.sizes.max()
    quartiles = weighted_quantiles(sample.sizes, sample.weights, (0.25, 0.75))
    width = 2 * (quartiles[1] - quartiles[0]) / len(sample) ** (1 / 3)
    count = int(np.clip(np.ceil((high - low) / width) if width > 0 else 8, 8, _MOST_BINS))
    return np.linspace(low, high, count + 1) if high > low else np.array([low * 0.95, low * 1.05])


def _thinned(count: int) -> np.ndarray:
    """Evenly spaced indices of at most `_MOST_POINTS` of `count` points, with both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(int))


def write_report(
    folder: ResultsFolder, record: Mapping, summary: Summary, files: Sequence[ImageFile], drawn: Mapping[str, Drawn]
) -> None:
    """Write report.html from the contents of record.json, the summary's figures and the images' thumbnails."""
    pictures = [(file.name, f"overlays/{folder.overlay(file).name}", drawn[file.name].thumbnail) for file in files]
    write_whole(folder.path / "report.html", size_report(record, size_figures(summary), pictures).encode())


def size_report(record: Mapping, figures: Mapping[str, bytes], pictures: Sequence[tuple[str, str, bytes]]) -> str:
    """Return the report as HTML.

    Args:
        record: contents of `record.json`, with the numbers under ``results``.
        figures: name (key of `CAPTIONS`) to SVG.
        pictures: for each image its name, the path of its overlay relative to the report, and its thumbnail as JPEG.
    """
    return template("semsize.measuring", "size_report.html").render(
        record=record,
        results=record["results"],
        figures=figures,
        captions=CAPTIONS,
        pictures=pictures,
        full=FULLY_IMAGED_FRACTION,
        masked=MASKED_FRACTION,
    )


def lines_of(measurement: Measurement) -> list[str]:
    """Lines that the program prints at the end: warnings, skipped images, results, and where they were written."""
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
        lines.append(f"{summary.unsized:.0f} particles have no size: too little of them is visible")
    lines.append(f"written: {measurement.folder}/report.html, particles.csv, predictions.json, record.json, overlays/")
    return lines


def _model_line(what: str, model: Mapping, use: Mapping) -> str:
    return f"{what}: {model['path']} ({model['licence']}), computed by {use['engine']} in {use['precision']}"


def _population_lines(summary: Summary) -> list[str]:
    """D50 of each further population, by number and by volume, and its ratio to that of the fully imaged particles.

    Empty without a size distribution, as in the report.
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


@functools.cache
def template(package: str, name: str) -> Template:
    """Load a page's template from the folder `templates` of a package, with this module's functions as filters."""
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True
    )  # fmt: skip
    filters = number, percent, uncertain, uncertainty, embedded, file_name
    environment.filters |= {"link": quote, **{each.__name__: each for each in filters}}
    return environment.get_template(name)


def file_name(path: str) -> str:
    r"""The last part of a Windows or POSIX path.

    >>> file_name(r"C:\models\nc.semsize"), file_name("models/nc.semsize")
    ('nc.semsize', 'nc.semsize')
    """
    return PureWindowsPath(path).name


def embedded(data: bytes, kind: str) -> str:
    """An image as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits, without an exponent; – for None and NaN."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞"
    return f"{value:.{_decimals(value, digits)}f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """A share as text in %; – for None."""
    return DASH if share is None else f"{100 * share:.{decimals}f} %"


def uncertainty(std: float | None) -> str:
    """An uncertainty to two significant digits (GUM 7.2.6)."""
    return number(std, 2)


def uncertain(value: float | None, std: float | None) -> str:
    """A value rounded to the last digit of its uncertainty; four significant digits without an uncertainty."""
    if value is None or not std:
        return number(value)
    return f"{value:.{_decimals(std, 2)}f}"


def _decimals(value: float, digits: int) -> int:
    """Decimals with which a value shows `digits` significant digits; 9.96 rounds up to 10.0 with one decimal less."""
    if value == 0:
        return digits - 1
    exponent = int(f"{abs(value):.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)
