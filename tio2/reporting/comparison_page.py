"""Charts that compare tested runs, and an HTML page whose tables sort by a click."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from semsize.measuring.report import DASH, template
from tio2.reporting.run_comparison import COMPARED, Row, comparison_cells, difference, paired_rows, shown_cells

CHARTED = ("mAP", "AP50", "useful found, %")
FIGURE = {"dpi": 110, "layout": "constrained"}
COLOUR, NOT_SHOWN = "#4477aa", "#bbbbbb"


def comparison_chart(rows: Sequence[Row]) -> Figure:
    """Draw mAP, AP50 and useful found, a bar for each row."""
    figure = Figure(figsize=(10, 1.2 + 0.5 * len(rows)), **FIGURE)
    heights = np.arange(len(rows))[::-1]
    for axes, metric in zip(figure.subplots(1, len(CHARTED), sharey=True), CHARTED, strict=True):
        values = [float(row.seed_values(metric).mean()) for row in rows]
        bars = axes.barh(heights, np.nan_to_num(values), color=COLOUR)
        labels = [DASH if np.isnan(value) else f"{value:.3g}" for value in values]
        axes.bar_label(bars, labels, padding=2, fontsize=8)
        axes.set(title=metric, xlim=(0, 115 if metric.endswith("%") else 1.15))
        axes.set_yticks(heights, [row.name for row in rows], fontsize=8)
    return figure


def difference_chart(rows: Sequence[Row], baseline: Row) -> Figure:
    """Draw the differences from the baseline with their 95 % intervals; grey if the interval contains 0."""
    figure = Figure(figsize=(10, 1.4 + 0.45 * len(rows)), **FIGURE)
    figure.suptitle(f"Differences from {baseline.name}, with 95 % intervals", fontsize=10)
    heights = np.arange(len(rows))[::-1]
    for axes, metric in zip(figure.subplots(1, len(CHARTED), sharey=True), CHARTED, strict=True):
        found = [difference(row, baseline, metric) for row in rows]
        values = np.array([each.difference for each in found])
        ends = np.array([(value - each.low, each.high - value) for each, value in zip(found, values, strict=True)]).T
        colours = [COLOUR if each.is_shown else NOT_SHOWN for each in found]
        axes.barh(heights, np.nan_to_num(values), color=colours)
        axes.errorbar(values, heights, xerr=np.nan_to_num(ends), fmt="none", ecolor="black", capsize=3, linewidth=1)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=metric)
        axes.locator_params(axis="x", nbins=5)
        axes.set_yticks(heights, [row.name for row in rows], fontsize=8)
    return figure


def comparison_page(rows: Sequence[Row], baseline: Row | None, figures: Sequence[Figure]) -> str:
    """Return an HTML page with the table of the runs, their differences from the baseline, and the figures."""
    differences = None
    if baseline and (paired := paired_rows(rows, baseline)):
        body = []
        for row in paired:
            found = [difference(row, baseline, metric) for metric in COMPARED]
            body.append([(row.name, row.name), *((str(each), each.difference) for each in found)])
        differences = ["run", *COMPARED], body
    return template("tio2.reporting", "comparison.html").render(
        runs=_run_cells(rows),
        baseline=baseline and baseline.name,
        differences=differences,
        pictures=[_png(figure) for figure in figures],
    )


def _run_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[tuple[object, object]]]]:
    """Return the names of the columns, and the cells of each row, each a text and the value that sorts it."""
    other_unit = {"parameters, million": "parameters", "memory, GiB": "peak memory, MiB"}
    body = []
    for row, values in zip(rows, comparison_cells(rows), strict=True):
        texts = shown_cells(row, values)
        body.append([(text, values.get(other_unit.get(name, name))) for name, text in texts.items()])
    return list(texts), body


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
