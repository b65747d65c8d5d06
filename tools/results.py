"""Write the numbers of the tables in README.md and docs/results.md from the folders of tested runs.

python tools/results.py                                # runs in work_dirs
python tools/results.py docs/results.md --runs DIR

Rows without a run stay as they are and are named. `tio2/reporting/results_tables.py` says which test each row is of.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors

PAGES = (Path("README.md"), Path("docs/results.md"))


def main() -> None:
    """Fill the tables from the runs and print the rows that were not written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES, help="files with tables (default: both)")
    parser.add_argument("--runs", type=Path, default=Path("work_dirs"), help="folder of runs (default: %(default)s)")
    arguments = parser.parse_args()
    from tio2.reporting.results_tables import RunError, fill_tables  # not above: --help is quick

    with one_line_errors(RunError):
        kept = [line for page in arguments.pages for line in fill_tables(page, arguments.runs)]
    print("\n".join(["rows left as they are:", *kept] if kept else ["every row was written"]))


if __name__ == "__main__":
    main()
