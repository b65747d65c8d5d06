"""The report of a test, comparison of runs, tables of results, error sheets, what a training gained."""
