"""Set runs side by side: a row a config, as Markdown, CSV and a bar chart, with paired differences from a baseline.

python tools/compare.py work_dirs/* --baseline work_dirs/light_stage2
python tools/compare.py work_dirs/light_stage2 work_dirs/watershed --fill README.md docs/results.md
python tools/compare.py work_dirs/* --split cv --baseline work_dirs/light_stage2    # tools/cross_validate.py's
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import quiet_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs; those not tested on the split are named")
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="the run from which differences are taken")
    parser.add_argument("--split", default="val", help="tested split (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/comparison"), help="default: %(default)s")
    parser.add_argument(
        "--fill", nargs="+", type=Path, default=[], metavar="FILE.md", help="also put the table between their markers"
    )
    return parser.parse_args()


def main() -> None:
    """Read, group, compare, write."""
    arguments = parse_arguments()
    with quiet_imports():
        from mmengine.config import Config

        from semsize.measuring.tables import write_csv
        from tio2.engine.config import config_changes, effective_settings, initial_weights
        from tio2.reporting import comparing
        from tio2.reporting.figures import write_figure
        from tio2.reporting.runs import RunError, read_run, run_config
    with one_line_errors(RunError):
        folders = [folder for folder in arguments.runs if (folder / arguments.split / "metrics.json").is_file()]
        if arguments.baseline and arguments.baseline not in folders:
            folders.insert(0, arguments.baseline)
        if not folders:
            raise RunError(f"none of these runs was tested on {arguments.split}; use tools/test.py first")
        for folder in arguments.runs:
            if folder.is_dir() and folder not in folders and folder != arguments.out:
                print(f"left out: {folder} was not tested on {arguments.split}")
        runs = [read_run(folder, arguments.split) for folder in folders]
        files = {folder: run_config(folder, arguments.split) for folder in folders}
        configs = {folder: Config.fromfile(file) for folder, file in files.items() if file}
        base = configs.get(arguments.baseline)
        settings = {
            folder: comparing.Settings(
                "; ".join(config_changes(config, base)) if base else "",
                repr(sorted(effective_settings(config).items())),
                initial_weights(config),
            )
            for folder, config in configs.items()
        }
        rows = comparing.rows_of(runs, settings)
        baseline = next((row for row in rows if arguments.baseline in [run.folder for run in row.runs]), None)
        markdown = comparing.comparison_markdown(rows, baseline)
        header, cells = comparing.comparison_cells(rows)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "results.md").write_text(markdown, encoding="utf-8")
        write_csv(arguments.out / "results.csv", header, [dict(zip(header, row, strict=True)) for row in cells])
        write_figure(arguments.out / "results.png", comparing.comparison_chart(rows))
        for file in arguments.fill:
            comparing.fill_between_markers(file, markdown)
    print(markdown)
    print(f"written: {arguments.out}/results.md, .csv, .png")


if __name__ == "__main__":
    main()
