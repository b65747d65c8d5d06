"""Runs side by side: a row a config, its folds pooled, its seeds averaged, and paired differences from a baseline.

Runs of one config whose images differ are its folds; runs on the same images are its seeds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tio2.metrology.comparison import OPERATING_SCORE
from tio2.metrology.paired import PairedDifference, paired_difference
from tio2.reporting.runs import FIGURES, ImageResult, RunError, TestedRun
from tio2.reporting.tables import markdown_table

CHART_FIGURES = ("mAP", "AP50", "useful found, %")
DIFFERENCE_FIGURES = ("mAP", "AP50", "Dice", "useful found, %", "ECD bias, %")
RUN_COLUMNS = ("F1", "PQ", "parameters", "training, min", "peak memory, MiB", "s / image")


@dataclass(frozen=True, eq=False)
class Row:
    """A config on a split.

    Attributes:
        name: of the config, with the split.
        changes: what it changes from the baseline's config, in words.
        seeds: of each seed, the images of all its folds by name.
        runs: the folders that it comes from.
    """

    name: str
    changes: str
    seeds: tuple[Mapping[str, ImageResult], ...]
    runs: tuple[TestedRun, ...]

    def figure(self, name: str, images: Sequence[str] | None = None) -> float:
        """A figure pooled over images (all by default, repeats allowed), averaged over seeds."""
        return float(np.mean([FIGURES[name]([seed[i] for i in images or seed]) for seed in self.seeds]))

    def seed_std(self, name: str) -> float:
        """Standard deviation of a figure over seeds; NaN for one seed."""
        values = [FIGURES[name](list(seed.values())) for seed in self.seeds]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def rows_of(runs: Sequence[TestedRun], changes: Mapping[Path, str]) -> list[Row]:
    """Runs grouped into rows, in the order in which their configs first come.

    Args:
        runs: tested splits.
        changes: folder to what its config changes from the baseline's.
    """
    groups: dict[tuple[str, str, str, str], list[TestedRun]] = {}
    for run in runs:
        # the folds of a cross-validation are tested as val, with files of their own
        key = (_config_name(run), run.split, _counted(run), changes.get(run.folder, ""))
        groups.setdefault(key, []).append(run)
    return [
        Row(f"{name} ({split}{counted})", changed, _seeds(members), tuple(members))
        for (name, split, counted, changed), members in groups.items()
    ]


def difference(row: Row, baseline: Row, figure: str, seed: int = 0) -> PairedDifference:
    """Paired difference of a figure over the images that both rows have.

    Raises:
        RunError: they have none in common.
    """
    common = sorted(set(row.seeds[0]) & set(baseline.seeds[0]))
    if not common:
        raise RunError(f"{row.name} and {baseline.name} share no image; test both on the same split")
    names = np.array(common)

    def of(which: Row) -> object:
        return lambda index: which.figure(figure, names[index].tolist())

    return paired_difference(of(row), of(baseline), len(common), np.random.default_rng(seed))


def comparison_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Header and cells, unrounded: figures, then what the run took."""
    header = ["run", "changes", "images", "seeds", *FIGURES, *RUN_COLUMNS]
    cells = []
    for row in rows:
        run, metrics = row.runs[0].run, row.runs[0].metrics
        judged = [
            [one.metrics["metrics"].get(f"particles/{key}") for one in row.runs] for key in ("f1", "panoptic_quality")
        ]
        took = [
            *(None if None in values else float(np.mean(values)) for values in judged),
            run.get("parameters"),
            run["seconds"] / 60 if "seconds" in run else None,
            run.get("peak_memory_mib"),
            metrics.get("seconds_per_image", {}).get("median"),
        ]
        figures = [row.figure(name) for name in FIGURES]
        cells.append([row.name, row.changes, len(row.seeds[0]), len(row.seeds), *figures, *took])
    return header, cells


def comparison_markdown(rows: Sequence[Row], baseline: Row | None) -> str:
    """The table, the spread over seeds, and the differences from the baseline."""
    header, cells = comparison_cells(rows)
    text = markdown_table(header, cells)
    several = [row for row in rows if len(row.seeds) > 1]
    if several:
        spread = [[row.name, len(row.seeds), *(row.seed_std(name) for name in FIGURES)] for row in several]
        text += "\nStandard deviation over seeds:\n\n" + markdown_table(["run", "seeds", *FIGURES], spread)
    others = [row for row in rows if row is not baseline and baseline and set(row.seeds[0]) & set(baseline.seeds[0])]
    if others:
        table = [[row.name, *(str(difference(row, baseline, name)) for name in DIFFERENCE_FIGURES)] for row in others]
        text += (
            f"\nDifferences from {baseline.name}, paired over images, with 95 % intervals: from 20 images on by a "
            "bootstrap that pools and evaluates each resample anew, below that Student's t of the images' differences "
            "(n = images):\n\n" + markdown_table(["run", *DIFFERENCE_FIGURES], table)
        )
    return text


def comparison_chart(rows: Sequence[Row]) -> Figure:
    """Bars of mAP, AP50 and useful found, a group a row."""
    figure = Figure(figsize=(10, 1.2 + 0.5 * len(rows)), dpi=110, layout="constrained")
    places = np.arange(len(rows))[::-1]
    for axes, name in zip(figure.subplots(1, len(CHART_FIGURES), sharey=True), CHART_FIGURES, strict=True):
        bars = axes.barh(places, np.nan_to_num([row.figure(name) for row in rows]), color="#4477aa")
        axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        axes.set(title=name, xlim=(0, 115 if name.endswith("%") else 1.15))
        axes.set_yticks(places, [row.name for row in rows], fontsize=8)
    return figure


def fill_between_markers(path: str | Path, text: str, marker: str = "results") -> None:
    """Puts ``text`` between ``<!-- results -->`` and ``<!-- /results -->`` of a Markdown file.

    Raises:
        RunError: the file has no such pair.
    """
    path = Path(path)
    old = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(old):
        raise RunError(f"{path}: has no <!-- {marker} --> … <!-- /{marker} --> to fill; add the two lines")
    path.write_text(pattern.sub(lambda found: f"{found[1]}{text}{found[2]}", old), encoding="utf-8")


def _config_name(run: TestedRun) -> str:
    return Path(run.metrics["config"]).stem


def _counted(run: TestedRun) -> str:
    """From which score single particles were counted, where that is not the usual one."""
    score = run.metrics.get("counted_from_score", OPERATING_SCORE)
    return "" if score == OPERATING_SCORE else f", score ≥ {score:g}"


def _seeds(runs: Sequence[TestedRun]) -> tuple[dict[str, ImageResult], ...]:
    """The folds of each seed joined: runs that share an image are different seeds."""
    seeds: list[dict[str, ImageResult]] = []
    for run in runs:
        home = next((seed for seed in seeds if not set(seed) & set(run.images)), None)
        if home is None:
            home = {}
            seeds.append(home)
        home |= run.images
    if len({frozenset(seed) for seed in seeds}) > 1:
        folders = ", ".join(str(run.folder) for run in runs)
        raise RunError(f"{folders}: these seeds were not tested on the same images; test each on all of them")
    return tuple(seeds)
