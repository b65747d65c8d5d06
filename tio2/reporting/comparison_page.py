"""Tested runs side by side as a person looks at them: charts, and a page whose table sorts by a click."""

import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure

from semsize.measuring.report import DASH, embedded
from tio2.reporting.run_comparison import COMPARED, Row, comparison_cells, difference, paired_rows, shown_cells

CHARTED = ("mAP", "AP50", "useful found, %")
FIGURE = {"dpi": 110, "layout": "constrained"}
COLOUR, NOT_SHOWN = "#4477aa", "#bbbbbb"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Runs compared</title>
<style>
  body {{ margin: 2rem; font: 15px/1.5 system-ui, sans-serif; color: #1c1c1c; }}
  table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
  th, td {{ padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #d6dae0; text-align: right; white-space: nowrap; }}
  th {{ border-bottom: 1.5px solid #1c1c1c; }}
  th:first-child, td:first-child {{ text-align: left; }}
  th button {{ all: unset; cursor: pointer; font-weight: 600; }}
  th button:focus-visible {{ outline: 2px solid #1f5a99; }}
  th[aria-sort=ascending] button::after {{ content: " ▲"; }}
  th[aria-sort=descending] button::after {{ content: " ▼"; }}
  img {{ max-width: 100%; }}
</style>
<h1>Runs compared</h1>
<p>A click on a column's name sorts by it.</p>
{tables}
{pictures}
<script>
  for (const button of document.querySelectorAll("th button")) button.onclick = () => {{
    const head = button.parentElement, table = head.closest("table"), column = head.cellIndex;
    const falls = head.ariaSort !== "descending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.ariaSort = falls ? "descending" : "ascending";
    const value = row => row.cells[column].dataset.value ?? "";
    const sign = falls ? -1 : 1;
    const order = (a, b) => value(a) === "" ? 1 : value(b) === "" ? -1
      : sign * (isNaN(value(a)) ? value(a).localeCompare(value(b)) : value(a) - value(b));
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }};
</script>
</html>
"""


def comparison_chart(rows: Sequence[Row]) -> Figure:
    """Bars of mAP, AP50 and useful found, a group a row."""
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
    """Bars of the differences from the baseline with their 95 % intervals; grey where the interval holds 0."""
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
    """One HTML file: the table of the runs, their differences from the baseline, and pictures."""
    tables = [_table(*_run_cells(rows))]
    if baseline and (paired := paired_rows(rows, baseline)):
        body = []
        for row in paired:
            found = [difference(row, baseline, metric) for metric in COMPARED]
            body.append([(row.name, row.name), *((str(each), each.difference) for each in found)])
        heading = f"<h2>Differences from {html.escape(baseline.name)}, with 95 % intervals</h2>"
        tables += [heading, _table(["run", *COMPARED], body)]
    return _PAGE.format(tables="\n".join(tables), pictures="\n".join(map(_picture, figures)))


def _run_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[tuple[object, object]]]]:
    """Names of the columns, and of each row each cell's text and the value that it is sorted by."""
    other_unit = {"parameters, million": "parameters", "memory, GiB": "peak memory, MiB"}
    body = []
    for row, values in zip(rows, comparison_cells(rows), strict=True):
        texts = shown_cells(row, values)
        body.append([(text, values.get(other_unit.get(name, name))) for name, text in texts.items()])
    return list(texts), body


def _table(names: Sequence[str], rows: Iterable[Iterable[tuple[object, object]]]) -> str:
    """A table of texts, each with the value that it is sorted by; rows without a value come last."""
    head = "".join(f'<th><button type="button">{html.escape(name)}</button></th>' for name in names)
    body = "\n".join(f"<tr>{''.join(_cell(*pair) for pair in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(text: object, value: object) -> str:
    unknown = value is None or value != value  # NaN
    key = "" if unknown else f' data-value="{html.escape(str(value))}"'
    return f"<td{key}>{html.escape(DASH if text is None else str(text))}</td>"


def _picture(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return f'<img alt="chart" src="{embedded(stream.getvalue(), "png")}">'
