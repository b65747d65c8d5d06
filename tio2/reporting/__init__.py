"""The report of a test, comparison of runs, tables of results, error sheets."""

from tio2.reporting.report import write_report
from tio2.reporting.visibility import write_visibility_report
