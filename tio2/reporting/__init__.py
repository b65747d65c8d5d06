"""Overlays, figures, tables, the report of a test."""

from tio2.reporting.overlays import draw_overlay, write_png
from tio2.reporting.report import write_report
from tio2.reporting.split import draw_split
from tio2.reporting.tables import markdown_table, results_table

__all__ = ["draw_overlay", "draw_split", "markdown_table", "results_table", "write_png", "write_report"]
