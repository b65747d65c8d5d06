"""The charts and the page of compared runs hold the table's numbers."""

import re

import numpy as np
from tested_runs import rows_of, value, write_run

from tio2.reporting.comparison_page import comparison_chart, comparison_page, difference_chart
from tio2.reporting.run_comparison import difference
from tio2.reporting.tested_run import read_run


def base_and_worse(folder):
    """Two rows of 20 images; the second misses more."""
    runs = [
        read_run(write_run(folder / name, 20, missed, config=f"configs/tio2/{name}.py"), "val")
        for name, missed in (("base", 1), ("worse & worse", 3))
    ]
    return rows_of(runs)


def test_a_value_that_is_not_defined_is_no_zero_in_the_chart(tmp_path, monkeypatch):
    (row,) = rows_of([read_run(write_run(tmp_path / "one"), "val")], {})
    monkeypatch.setattr(type(row), "seed_values", lambda _, name: np.array([np.nan if name == "AP50" else 0.0]))
    labels = [[text.get_text() for text in axes.texts] for axes in comparison_chart([row]).axes]
    assert labels == [["0"], ["–"], ["0"]]


def test_bars_of_differences_have_their_intervals(tmp_path):
    base, worse = base_and_worse(tmp_path)
    for axes, metric in zip(difference_chart([worse], base).axes, ("mAP", "AP50", "useful found, %"), strict=True):
        (bar,) = axes.patches
        expected = difference(worse, base, metric)
        assert bar.get_width() == expected.difference < 0
        ((start, end),) = axes.collections[0].get_segments()
        np.testing.assert_allclose([start[0], end[0]], [expected.low, expected.high])


def test_the_page_sorts_by_values_and_holds_the_pictures(tmp_path):
    rows = base_and_worse(tmp_path)
    page = comparison_page(rows, rows[0], [comparison_chart(rows)])
    names = re.findall(r'<button type="button">([^<]*)</button>', page)
    first = re.search(r"<tbody>\n<tr>(.*?)</tr>", page)[1]
    cells = re.findall(r'<td(?: data-value="([^"]*)")?>', first)
    assert float(cells[names.index("mAP")]) == value(rows[0], "mAP")
    assert "worse &amp; worse" in page
    assert page.count("<table>") == 2
    assert page.count("data:image/png;base64,") == 1
    assert "<h2>" not in comparison_page(rows, None, [])
