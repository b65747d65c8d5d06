"""Compare runs, one row per config: Markdown, CSV, charts, a sortable page, paired differences from a baseline.

python tools/compare.py work_dirs/* --baseline work_dirs/light_stage2
python tools/compare.py work_dirs/light_stage2 work_dirs/watershed --fill docs/notebook/first-trainings.md
python tools/compare.py work_dirs/* --split cv --baseline work_dirs/light_stage2    # of tools/cross_validate.py
python tools/compare.py work_dirs/light_nc work_dirs/other --label nc=work_dirs/light_nc "no clipping=work_dirs/other"
"""

import argparse
import ast
import re
from dataclasses import replace
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs; those without the split are left out")
    parser.add_argument("--baseline", type=Path, metavar="RUN", help="the run with which the others are compared")
    parser.add_argument("--split", default="val", help="tested split (default: %(default)s)")
    parser.add_argument(
        "--label",
        nargs="+",
        type=labelled_run,
        default=[],
        metavar="NAME=RUN",
        help="names of rows (default: the first clause of the docstring of each run's config)",
    )
    parser.add_argument("--out", type=Path, default=Path("work_dirs/comparison"), help="default: %(default)s")
    parser.add_argument(
        "--fill", nargs="+", type=Path, default=[], metavar="FILE.md", help="also put the table between their markers"
    )
    return parser.parse_args()


def labelled_run(text: str) -> tuple[Path, str]:
    """Return folder and name from ``NAME=RUN``."""
    name, _, run = text.rpartition("=")
    if not (name and run):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RUN")
    return Path(run), name


def read_recipes(runs: list, split: str, baseline: Path | None, labels: dict[Path, str]) -> dict:
    """Return the recipe of each run (name of its row, settings, start weights), by its folder."""
    from mmengine.config import Config

    from tio2.engine.config import as_tested, config_changes, effective_settings, initial_weights
    from tio2.engine.launch import run_config, trained_config
    from tio2.reporting.run_comparison import Recipe
    from tio2.reporting.tested_run import RunError

    configs = {}
    for run in runs:
        if tested := run_config(run.folder, split):
            trained = trained_config(run.folder, split) if run.run else None
            configs[run.folder] = as_tested(Config.fromfile(trained or tested), Config.fromfile(tested))
    base, processes = configs.get(baseline), {run.folder: run.run.get("processes", 1) for run in runs}
    recipes = {}
    for run in runs:
        config = configs.get(run.folder)
        start = start_weights(run.run.get("start_weights", {}), initial_weights(config) if config else None)
        here, there = processes[run.folder], processes.get(baseline, 1)
        changes = tuple(config_changes(config, base, (here, there))) if config and base else ()
        effective = repr(sorted(effective_settings(config, here).items())) if config else ""
        recipes[run.folder] = Recipe(config_label(run.metrics["config"]), changes, effective, *start)
    for folder, name in labels.items():
        if folder not in recipes:
            raise RunError(f"--label {name}={folder}: {folder} is none of the runs that are compared")
        unlabelled = recipes[folder]  # all seeds and folds of the row have it
        recipes |= {run: replace(recipe, label=name) for run, recipe in recipes.items() if recipe == unlabelled}
    return recipes


def config_label(config: str) -> str:
    """Return the first clause of a config's docstring without text in brackets; without docstring the config's name."""
    path = Path(config)
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    first_line = re.sub(r"\s*\([^)]*\)", "", (docstring or path.stem).splitlines()[0])
    return re.split(r"[.:;](?:\s|$)", first_line)[0]


def start_weights(recorded: dict | list[dict] | None, initial: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return name and SHA-256 of a run's start weights; several if each fold started from its own.

    Args:
        recorded: `start_weights` of its `run.json`: one file, a list with one per fold, None without a checkpoint, {}
            if unknown.
        initial: the network's start without a checkpoint, such as `ImageNet`; None if unknown.
    """
    starts = recorded if isinstance(recorded, list) else [recorded]
    files = [start for start in starts if start]
    if {} in starts or not files:
        return None if {} in starts else initial, ()
    names = dict.fromkeys(checkpoint_name(file) for file in files)
    return ", ".join(names), tuple(sorted({file["sha256"] for file in files if "sha256" in file}))


def checkpoint_name(weights: dict) -> str:
    """Return run and epoch of a run's checkpoint; for other weights the file name and 8 digits of its SHA-256."""
    path = Path(weights["path"])
    if not re.fullmatch(r"epoch_\d+(_step_\d+)?", path.stem):
        return f"{path.name} {weights.get('sha256', '')[:8]}".strip()
    fold = re.fullmatch(r"(?:.*/)?([^/]+)/cv/fold_\d+/run", path.parent.as_posix())
    return f"{fold[1]} {path.stem}, each fold its own" if fold else f"{path.parent.name} {path.stem}"


def main() -> None:
    """Read the runs, group them in rows, compare the rows and write all files."""
    arguments = parse_arguments()
    with required_imports():
        from semsize.measuring.tables import write_csv
        from tio2.engine import ConfigError
        from tio2.reporting import comparison_page, results_tables, run_comparison
        from tio2.reporting.tested_run import RunError, read_run
    with one_line_errors(RunError, ConfigError):
        folders = [folder for folder in arguments.runs if (folder / arguments.split / "metrics.json").is_file()]
        if arguments.baseline and arguments.baseline not in folders:
            folders.insert(0, arguments.baseline)
        if not folders:
            raise RunError(f"none of these runs was tested on {arguments.split}; use tools/test.py first")
        for folder in arguments.runs:
            if folder.is_dir() and folder not in folders and folder != arguments.out:
                print(f"left out: {folder} was not tested on {arguments.split}")
        runs = [read_run(folder, arguments.split) for folder in folders]
        recipes = read_recipes(runs, arguments.split, arguments.baseline, dict(arguments.label))
        rows = run_comparison.rows_of(runs, recipes)
        baseline = next((row for row in rows if arguments.baseline in [run.folder for run in row.runs]), None)
        markdown = run_comparison.comparison_markdown(rows, baseline)
        cells = run_comparison.comparison_cells(rows)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "results.md").write_text(markdown, encoding="utf-8")
        write_csv(arguments.out / "results.csv", list(cells[0]), cells)
        figures = [comparison_page.comparison_chart(rows)]
        paired = run_comparison.paired_rows(rows, baseline) if baseline else []
        if paired:
            figures.append(comparison_page.difference_chart(paired, baseline))
        for name, figure in zip(("results.png", "differences.png"), figures, strict=False):
            figure.savefig(arguments.out / name)
        page = comparison_page.comparison_page(rows, baseline, figures)
        (arguments.out / "results.html").write_text(page, encoding="utf-8")
        for file in arguments.fill:
            results_tables.fill_markers(file, "results", lambda _: markdown)
    print(markdown)
    print(f"written: {arguments.out}/results.md, .csv, .html, .png{', differences.png' if paired else ''}")


if __name__ == "__main__":
    main()
