"""Runs side by side: a row a config and start, folds pooled, seeds averaged, and paired differences from a baseline.

Runs of the same settings from the same weights are one row; those of one seed, by run.json, are its folds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from semsize.measuring.tables import markdown_table
from semsize.metrology.intervals import PairedDifference, paired_difference
from semsize.metrology.matching import OPERATING_SCORE
from tio2.reporting.runs import FIGURES, ImageResult, RunError, Start, TestedRun, start_of

CHART_FIGURES = ("mAP", "AP50", "useful found, %")
DIFFERENCE_FIGURES = ("mAP", "AP50", "Dice", "useful found, %", "ECD bias, %")
RUN_COLUMNS = ("F1", "PQ", "parameters", "training, min", "peak memory, MiB", "s / image")


@dataclass(frozen=True)
class Settings:
    """What a run's config says of it.

    Attributes:
        changes: what it changes from the baseline's, in words.
        effective: all that decides what is trained, as text; runs that differ here are no seeds of one another.
        initial: what the network starts from without a checkpoint; None if that is not known.
    """

    changes: str = ""
    effective: str = ""
    initial: str | None = None


@dataclass(frozen=True, eq=False)
class Row:
    """Settings on a split.

    Attributes:
        name: of the config, with the split.
        changes: what it changes from the baseline's config, in words.
        start: weights that its trainings start from; None if that is not known.
        seeds: of each seed, the images of all its folds by name.
        runs: the folders that it comes from.
    """

    name: str
    changes: str
    start: str | None
    seeds: tuple[Mapping[str, ImageResult], ...]
    runs: tuple[TestedRun, ...]

    def seed_figures(self, name: str, images: Sequence[str] | None = None) -> np.ndarray:
        """(S,) figure of each seed, pooled over images (all by default, repeats allowed)."""
        return np.array([FIGURES[name]([seed[i] for i in images or seed]) for seed in self.seeds])

    def figure(self, name: str) -> float:
        """A figure pooled over all images, averaged over seeds."""
        return float(np.mean(self.seed_figures(name)))

    def seed_std(self, name: str) -> float:
        """Standard deviation of a figure over seeds; NaN for one seed."""
        return float(np.std(self.seed_figures(name), ddof=1)) if len(self.seeds) > 1 else float("nan")


def rows_of(runs: Sequence[TestedRun], settings: Mapping[Path, Settings]) -> list[Row]:
    """Runs grouped into rows, in the order in which their settings first come.

    Args:
        runs: tested splits.
        settings: of each folder; one without config may be left out.

    Raises:
        RunError: seeds of one row that are the same, or were not tested on the same images.
    """
    groups: dict[tuple[str, Settings, Start | None], list[TestedRun]] = {}
    for run in runs:
        own = settings.get(run.folder, Settings())
        # the folds of a cross-validation are tested as val, with files of their own
        name = f"{Path(run.metrics['config']).stem} ({run.split}{_counted(run)})"
        groups.setdefault((name, own, start_of(run, own.initial)), []).append(run)
    names = Counter(name for name, _, _ in groups)
    digests: dict[str, set] = {}
    for _, _, start in groups:
        if start:
            digests.setdefault(start.label, set()).add(start.digests)
    return [
        Row(
            name if names[name] == 1 else f"{name}, {members[0].folder.name}",
            own.changes,
            _start_text(start, is_alone=start is None or len(digests[start.label]) == 1),
            _seeds(members),
            tuple(members),
        )
        for (name, own, start), members in groups.items()
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

    def of(which: Row) -> Callable[[np.ndarray], np.ndarray]:
        return lambda index: which.seed_figures(figure, names[index].tolist())

    return paired_difference(of(row), of(baseline), len(common), np.random.default_rng(seed))


def comparison_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Header and cells, unrounded: figures averaged over seeds, then what a run took, the mean of a row's runs."""
    header = ["run", "changes", "start", "images", "seeds", *FIGURES, *RUN_COLUMNS]
    cells = []
    for row in rows:
        runs, metrics = [each.run for each in row.runs], [each.metrics for each in row.runs]
        took = [
            _mean_of_known(each["metrics"].get("particles/f1") for each in metrics),
            _mean_of_known(each["metrics"].get("particles/panoptic_quality") for each in metrics),
            runs[0].get("parameters"),
            _mean_of_known(each["seconds"] / 60 if "seconds" in each else None for each in runs),
            _mean_of_known(each.get("peak_memory_mib") for each in runs),
            _mean_of_known(each.get("seconds_per_image", {}).get("median") for each in metrics),
        ]
        figures = [row.figure(name) for name in FIGURES]
        cells.append([row.name, row.changes, row.start, len(row.seeds[0]), len(row.seeds), *figures, *took])
    return header, cells


def comparison_markdown(rows: Sequence[Row], baseline: Row | None) -> str:
    """The table, the spread over seeds, and the differences from the baseline."""
    header, cells = comparison_cells(rows)
    text = markdown_table(header, cells)
    several = [row for row in rows if len(row.seeds) > 1]
    if several:
        text += "\nMean and standard deviation over seeds:\n\n" + markdown_table(
            ["run", "seeds", *FIGURES],
            [[row.name, len(row.seeds), *(_with_spread(row, name) for name in FIGURES)] for row in several],
        )
    others = [row for row in rows if row is not baseline and baseline and set(row.seeds[0]) & set(baseline.seeds[0])]
    if others:
        table = [[row.name, *(str(difference(row, baseline, name)) for name in DIFFERENCE_FIGURES)] for row in others]
        text += (
            f"\nDifferences from {baseline.name}, paired over images, seeds averaged, with 95 % intervals: from 20 "
            "images on by a bootstrap that pools and evaluates each resample anew, below that Student's t of the "
            "images' differences (n = images). The spread over seeds is in an interval that names seeds, and in no "
            "other:\n\n" + markdown_table(["run", *DIFFERENCE_FIGURES], table)
        )
    return text


def comparison_chart(rows: Sequence[Row]) -> Figure:
    """Bars of mAP, AP50 and useful found, a group a row."""
    figure = Figure(figsize=(10, 1.2 + 0.5 * len(rows)), dpi=110, layout="constrained")
    places = np.arange(len(rows))[::-1]
    for axes, name in zip(figure.subplots(1, len(CHART_FIGURES), sharey=True), CHART_FIGURES, strict=True):
        values = [row.figure(name) for row in rows]
        bars = axes.barh(places, np.nan_to_num(values), color="#4477aa")
        labels = ["–" if np.isnan(value) else f"{value:.3g}" for value in values]
        axes.bar_label(bars, labels, padding=2, fontsize=8)
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


def _counted(run: TestedRun) -> str:
    """From which score single particles were counted, where that is not the usual one."""
    score = run.metrics.get("counted_from_score", OPERATING_SCORE)
    return "" if score == OPERATING_SCORE else f", score ≥ {score:g}"


def _start_text(start: Start | None, *, is_alone: bool) -> str | None:
    """A start's label; its files' digests too where other weights have the same label."""
    if start is None or is_alone:
        return start.label if start else None
    return " ".join([start.label, *(digest[:8] for digest in start.digests)])


def _seeds(runs: Sequence[TestedRun]) -> tuple[dict[str, ImageResult], ...]:
    """Each seed's images, by ascending seed; runs of one seed are its folds, in whatever order they are named.

    Where no run's `run.json` tells its seed, runs that share no image are folds of one, and runs of the same images are
    a seed each.

    Raises:
        RunError: some runs tell their seed and some don't, two of one seed share an image, folds cannot be told apart
            by seed, or the seeds' images differ.
    """
    known = [run.run.get("seed") is not None for run in runs]
    if any(known) and not all(known):
        unknown = ", ".join(str(run.folder) for run, told in zip(runs, known, strict=True) if not told)
        raise RunError(
            f"{unknown}: no run.json tells the training's seed, as those beside it do; name runs that tell it"
        )
    if all(known):
        numbers = [run.run["seed"] for run in runs]
    elif len({image for run in runs for image in run.images}) == sum(len(run.images) for run in runs):
        numbers = [0] * len(runs)
    elif len({frozenset(run.images) for run in runs}) == 1:
        numbers = list(range(len(runs)))
    else:
        folders = ", ".join(str(run.folder) for run in runs)
        raise RunError(f"{folders}: no run.json tells which folds are of one seed; name one fold each, or whole runs")
    seeds: dict[int, dict[str, ImageResult]] = {}
    home: dict[tuple[int, str], Path] = {}
    for number, run in sorted(zip(numbers, runs, strict=True), key=lambda pair: pair[0]):
        for image in run.images:
            other = home.setdefault((number, image), run.folder)
            if other != run.folder:
                raise RunError(
                    f"{other} and {run.folder} are trainings of the same settings and the same seed {number}, and both "
                    f"were tested on {image}; name one of them only"
                )
        seeds.setdefault(number, {}).update(run.images)
    if len({frozenset(seed) for seed in seeds.values()}) > 1:
        folders = ", ".join(str(run.folder) for run in runs)
        raise RunError(f"{folders}: these seeds were not tested on the same images; test each on all of them")
    return tuple(seeds.values())


def _with_spread(row: Row, figure: str) -> str:
    return f"{row.figure(figure):.3f} ± {row.seed_std(figure):.3f}"


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    """Mean; None where one is not known."""
    values = list(values)
    return None if None in values else float(np.mean(values))
