"""The report of a test, comparison of runs, error sheets."""

from tio2.reporting.report import write_report
from tio2.reporting.split import draw_split

__all__ = ["draw_split", "write_report"]
