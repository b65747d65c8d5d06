"""Overlays, figures, tables, the report of a test."""

from semsize.measuring.overlays import draw_overlay, write_png
from semsize.measuring.tables import markdown_table, results_table
from tio2.reporting.report import write_report
from tio2.reporting.split import draw_split

__all__ = ["draw_overlay", "draw_split", "markdown_table", "results_table", "write_png", "write_report"]
