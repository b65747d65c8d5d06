"""Markdown tables, character by character; texts in tables that spreadsheets open."""

import csv
import doctest
import math

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import semsize.measuring.tables
from semsize.measuring.tables import (
    RESULT_COLUMNS,
    csv_rows,
    markdown_table,
    results_table,
    write_csv,
    write_workbook,
)

NAMES = [
    "=1+1.tif",
    "+a",
    "-a",
    "@SUM(A1)",
    "\t=a",
    "\r=a",
    "a;=1+1",
    "a\n=b",
    "'=a",
    "''a",
    "plain.tif",
    "a=b",
    "",
    "'",
]


def test_a_table_as_it_is_read():
    table = markdown_table(["run", "AP50", "n"], [["a|b", 0.70049, 12], ["longer", math.nan, 3], ["c", None, 4]])
    assert table == (
        "| run    |  AP50 |   n |\n"
        "| ------ | ----: | --: |\n"
        "| a\\|b   | 0.700 |  12 |\n"
        "| longer |     – |   3 |\n"
        "| c      |     – |   4 |\n"
    )


def test_without_rows_the_header_stands_alone():
    assert markdown_table(["a", "b"], []) == "| a   | b   |\n| --- | --- |\n"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        markdown_table(["a", "b"], [["x"]])


def test_results_are_picked_by_key_and_what_is_not_there_is_shown_as_unknown():
    runs = {"light": {"coco/segm_mAP": 0.4321987, "coco/bbox_mAP": 0.5, "other": 1}, "scratch": {}}
    lines = results_table(runs).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["run", *RESULT_COLUMNS]
    by_title = dict(zip(cells[0], cells[2], strict=True))
    assert (by_title["mask mAP"], by_title["box mAP"], by_title["AP50"]) == ("0.432", "0.500", "–")
    assert cells[3] == ["scratch", *["–"] * len(RESULT_COLUMNS)]


@given(st.lists(st.text(st.sampled_from("=+-@\t\r\n;,'\"a 1")), min_size=1))
def test_texts_come_back_from_a_csv_and_no_cell_begins_as_a_formula(tmp_path_factory, texts):
    file = tmp_path_factory.getbasetemp() / "texts.csv"
    write_csv(file, ("name", "size"), [{"name": text, "size": -1.5} for text in texts])
    with file.open(encoding="utf-8", newline="") as stream:
        assert [row["name"] for row in csv_rows(stream)] == texts
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["size"] for row in rows} == {"-1.5"}
    for separator in (";", "\t", "\r", "\n"):  # what other settings of a spreadsheet take for a cell's end
        assert not any(part[:1] in tuple("=+-@") for row in rows for part in row["name"].split(separator))


def test_texts_of_a_workbook_are_no_formulas_even_when_they_are_edited(tmp_path):
    write_workbook(tmp_path / "names.xlsx", ["name"], [{"name": name} for name in NAMES])
    sheet = openpyxl.load_workbook(tmp_path / "names.xlsx")["particles"]
    cells = {row[0].value: row[0] for row in sheet.iter_rows(min_row=2) if row[0].value}
    assert {cell.data_type for cell in cells.values()} == {"s"}
    quoted = {name for name, cell in cells.items() if cell.quotePrefix}
    assert {"=1+1.tif", "+a", "-a", "@SUM(A1)", "a;=1+1", "'=a"} <= quoted
    assert not quoted & {"plain.tif", "a=b", "''a", "'"}


def test_examples_run():
    assert doctest.testmod(semsize.measuring.tables).failed == 0
