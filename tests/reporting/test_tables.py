"""Markdown tables, character by character."""

import math

import pytest

from semsize.measuring.tables import RESULT_COLUMNS, markdown_table, results_table


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
    with pytest.raises(ValueError, match="has 1 cells, the header 2"):
        markdown_table(["a", "b"], [["x"]])


def test_results_are_picked_by_key_and_what_is_not_there_is_shown_as_unknown():
    runs = {"light": {"coco/segm_mAP": 0.4321987, "coco/bbox_mAP": 0.5, "other": 1}, "scratch": {}}
    lines = results_table(runs).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["run", *RESULT_COLUMNS]
    by_title = dict(zip(cells[0], cells[2], strict=True))
    assert (by_title["mask mAP"], by_title["box mAP"], by_title["AP50"]) == ("0.432", "0.500", "–")
    assert cells[3] == ["scratch", *["–"] * len(RESULT_COLUMNS)]
