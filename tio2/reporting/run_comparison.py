"""Tested runs side by side: folds pooled, seeds averaged, differences paired over images.

Runs of one recipe from the same weights form a row; runs that have the same seed in run.json are folds of that seed.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.measuring.report import DASH, number
from semsize.measuring.tables import markdown_table
from semsize.metrology.intervals import CONFIDENCE, PairedDifference, justified_decimals, paired_difference
from semsize.metrology.matching import AVERAGE_PRECISIONS, OPERATING_SCORE, pooled_average_precision
from semsize.metrology.size_distribution import central_interval, mean_or_nan, std_or_nan
from tio2.reporting.tested_run import RunError, TestedImage, TestedRun, require_same_truth

COMPARED = ("mAP", "AP50", "Dice", "useful found, %", "ECD bias, %")
RESAMPLES = 100  # draws of the images, which decide the digits of a value


@dataclass(frozen=True)
class Recipe:
    """The training of a run, from its config and ``run.json``; runs that differ only in their seed share a recipe."""

    label: str
    changes: tuple[str, ...] = ()  # from the baseline's config, in words
    effective: str = ""  # all settings that affect the training, as text
    start: str | None = None  # the weights from which it starts, in words; None if they are not known
    start_digests: tuple[str, ...] = ()  # SHA-256 of their files; several if each fold starts from its own


@dataclass(frozen=True, eq=False)
class Row:
    """Runs of one recipe; `seeds` has for each seed the images of all its folds, by name."""

    name: str
    recipe: Recipe
    seeds: tuple[Mapping[str, TestedImage], ...]
    runs: tuple[TestedRun, ...]

    def seed_values(self, metric: str, images: Sequence[str] | None = None) -> np.ndarray:
        """Return the values (S,) of S seeds, each pooled over images (all by default, repeats allowed)."""
        names = self.seeds[0] if images is None else images
        return np.array([METRICS[metric]([seed[name] for name in names]) for seed in self.seeds])

    @functools.cache  # noqa: B019 - rows live as long as the program
    def half_width(self, metric: str) -> float:
        """Return half the 95 % interval over images of the mean over seeds; NaN for a single image."""
        images, rng = np.array(list(self.seeds[0])), np.random.default_rng(0)
        draws = rng.integers(0, len(images), (RESAMPLES, len(images)))
        drawn = np.array([self.seed_values(metric, images[draw]).mean() for draw in draws])
        low, high = central_interval(drawn, CONFIDENCE)
        return (high - low) / 2 if len(images) > 1 else float("nan")


METRICS: dict[str, Callable[[Sequence[TestedImage]], float]] = {
    **{
        name: lambda images, columns=columns: _average_precision(images, columns)
        for name, columns in AVERAGE_PRECISIONS.items()
    },
    "Dice": lambda images: mean_or_nan(np.concatenate([image.dice for image in images])),
    "found, %": lambda images: _percent([i.found for i in images], [i.particles for i in images]),
    "useful found, %": lambda images: _percent([i.useful_found for i in images], [i.useful for i in images]),
    "ECD bias, %": lambda images: mean_or_nan(_ecd_residuals_percent(images)),
    "ECD spread, %": lambda images: std_or_nan(_ecd_residuals_percent(images)),
}
"""Metric to a function from images, repeats allowed, to its value pooled over them."""


def rows_of(runs: Sequence[TestedRun], recipes: Mapping[Path, Recipe]) -> list[Row]:
    """Group runs into rows, in the order in which their recipes first appear.

    Args:
        runs: tested splits.
        recipes: folder of each run to its recipe.

    Raises:
        RunError: two trainings of a row have the same seed, or were not tested on the same images and annotations.
    """
    groups: dict[tuple[Recipe, str], list[TestedRun]] = {}
    for run in runs:
        name = ", ".join([recipes[run.folder].label, *_peculiarities(run)])
        groups.setdefault((recipes[run.folder], name), []).append(run)
    names = Counter(name for _, name in groups)
    rows = []
    for (recipe, name), members in groups.items():
        unique = name if names[name] == 1 else f"{name}, {members[0].folder.name}"
        rows.append(Row(unique, recipe, _seeds(members), tuple(members)))
    return rows


def _peculiarities(run: TestedRun) -> list[str]:
    """Name what puts a run into a row of its own: another score to count from, another engine, a stopped training."""
    counted_from = run.metrics.get("counted_from_score", OPERATING_SCORE)
    words = [] if counted_from == OPERATING_SCORE else [f"score ≥ {counted_from:g}"]
    engine = run.metrics.get("model", {}).get("engine", "torch")
    words += [] if engine == "torch" else [engine]
    epochs, most = run.run.get("epochs", 0), run.run.get("max_epochs", 0)
    return [*words, f"{epochs} of {most} epochs"] if epochs < most else words


@functools.cache  # table, page and chart show the same differences, each of which is a bootstrap
def difference(row: Row, baseline: Row, metric: str) -> PairedDifference:
    """Return the paired difference of a metric over the images that both rows have.

    Raises:
        RunError: the rows share no image, or were judged by different annotations.
    """
    common = sorted(set(row.seeds[0]) & set(baseline.seeds[0]))
    if not common:
        raise RunError(f"{row.name} and {baseline.name} share no image; test both on the same split")
    for pair in itertools.product(row.runs, baseline.runs):
        require_same_truth(*pair)
    names = np.array(common)
    values, base = (lambda index, row=row: row.seed_values(metric, names[index]) for row in (row, baseline))
    return paired_difference(values, base, len(names), np.random.default_rng(0))


def paired_rows(rows: Sequence[Row], baseline: Row) -> list[Row]:
    """Return the rows, without the baseline, that were tested on some of the baseline's images."""
    return [row for row in rows if row is not baseline and set(row.seeds[0]) & set(baseline.seeds[0])]


def comparison_cells(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return each row's columns, unrounded: metrics averaged over seeds, then costs averaged over runs."""
    table = []
    for row in rows:
        metrics, records = [run.metrics for run in row.runs], [run.run for run in row.runs]
        whole = metrics if len(row.runs) == len(row.seeds) else [{"metrics": {}}]  # F1, PQ cannot be pooled
        costs = {
            "F1": [each["metrics"].get("particles/f1") for each in whole],
            "PQ": [each["metrics"].get("particles/panoptic_quality") for each in whole],
            "parameters": [records[0].get("parameters")],
            "training, min": [each["seconds"] / 60 if "seconds" in each else None for each in records],
            "peak memory, MiB": [each.get("peak_memory_mib") for each in records],
            "s / image": [each.get("seconds_per_image", {}).get("median") for each in metrics],
        }
        cells = {"run": row.name, "changes": "; ".join(row.recipe.changes), "start": _start(row, rows)}
        cells |= {"images": len(row.seeds[0]), "seeds": len(row.seeds)}
        cells |= {metric: float(row.seed_values(metric).mean()) for metric in METRICS}
        cells |= {name: None if None in known else float(np.mean(known)) for name, known in costs.items()}
        table.append(cells)
    return table


def comparison_markdown(rows: Sequence[Row], baseline: Row | None) -> str:
    """Return Markdown: the table, the changes of the configs, and the differences from the baseline."""
    table = [shown_cells(row, cells) for row, cells in zip(rows, comparison_cells(rows), strict=True)]
    text = markdown_table(list(table[0]), [list(cells.values()) for cells in table])
    text += "\nDigits are those that the 95 % interval over images justifies; F1 and PQ have the digits of `found`.\n"
    if any(len(row.runs) > len(row.seeds) for row in rows):
        text += "F1 and PQ of folds that were tested apart are not known for all images together.\n"
    if any(len(row.seeds) > 1 for row in rows):
        text += "Rows of several seeds show the mean and, after ±, the standard deviation.\n"
    others = [row for row in rows if baseline and row is not baseline]
    if others:
        changes = "".join(f"- {row.name}: {'; '.join(row.recipe.changes) or 'nothing'}\n" for row in others)
        text += f"\nWhat the configs change from {baseline.name}, its values in brackets:\n\n{changes}"
    if others and (paired := paired_rows(rows, baseline)):
        table = [[row.name, *(str(difference(row, baseline, name)) for name in COMPARED)] for row in paired]
        text += (
            f"\nDifferences from {baseline.name}, paired over images, seeds averaged, with 95 % intervals: from 20 "
            "images on by a bootstrap that pools and evaluates each resample anew, below that Student's t of the "
            "images' differences (n = images). Only intervals that name seeds include the spread over "
            "seeds:\n\n" + markdown_table(["run", *COMPARED], table)
        )
    return text


def _seeds(runs: Sequence[TestedRun]) -> tuple[dict[str, TestedImage], ...]:
    """Return each seed's images, by ascending seed; runs of one seed are its folds, in any order.

    If no `run.json` tells a seed, runs that share no image are folds of one seed; runs of the same images are seeds.
    """
    for pair in itertools.combinations(runs, 2):
        _require_two_seeds(*pair)
    folders = ", ".join(str(run.folder) for run in runs)
    numbers = [run.run.get("seed") for run in runs]
    if None in numbers:
        unknown = ", ".join(str(run.folder) for run, seed in zip(runs, numbers, strict=True) if seed is None)
        if any(seed is not None for seed in numbers):
            raise RunError(f"{unknown}: no run.json tells the training's seed, but other runs' do; leave this run out")
        if len({image for run in runs for image in run.images}) == sum(len(run.images) for run in runs):
            numbers = [0] * len(runs)
        elif len({frozenset(run.images) for run in runs}) == 1:
            numbers = list(range(len(runs)))
        else:
            raise RunError(f"{folders}: no run.json tells which folds are of one seed; name the folds of one seed only")
    seeds: dict[int, dict[str, TestedImage]] = {}
    tested: dict[tuple[int, str], Path] = {}
    for seed, run in sorted(zip(numbers, runs, strict=True), key=lambda pair: pair[0]):
        for image in run.images:
            other = tested.setdefault((seed, image), run.folder)
            if other != run.folder:
                raise RunError(
                    f"{other} and {run.folder} are trainings of the same settings and the same seed {seed}, and both "
                    f"were tested on {image}; name one of them only"
                )
        seeds.setdefault(seed, {}).update(run.images)
    if len({frozenset(seed) for seed in seeds.values()}) > 1:
        raise RunError(f"{folders}: these seeds were not tested on the same images; test each on all of them")
    return tuple(seeds.values())


def _require_two_seeds(first: TestedRun, second: TestedRun) -> None:
    """Raise RunError if two runs of a row tested the same weights on an image, or by different annotations."""
    require_same_truth(first, second)
    if first.images.keys() & second.images.keys() and first.weights and first.weights == second.weights:
        raise RunError(f"{first.folder} and {second.folder} are tests of the same weights; name one of them only")


def shown_cells(row: Row, cells: Mapping[str, object]) -> dict[str, object]:
    """Return the cells of the table, with the digits that the intervals of the values justify."""
    half_widths = {metric: row.half_width(metric) for metric in METRICS}
    half_widths |= dict.fromkeys(("F1", "PQ"), half_widths["found, %"] / 100)
    shown = {name: cells[name] for name in ("run", "start", "images", "seeds")}
    for name, half_width in half_widths.items():
        decimals = justified_decimals(half_width)
        std = std_or_nan(row.seed_values(name)) if name in METRICS else float("nan")
        shown[name] = DASH if cells[name] is None or np.isnan(cells[name]) else f"{cells[name]:.{decimals}f}"
        shown[name] += "" if np.isnan(std) else f" ± {std:.{decimals}f}"
    parameters, memory_mib = cells["parameters"], cells["peak memory, MiB"]
    shown["parameters, million"] = number(parameters and parameters / 1e6, 3)
    shown["training, min"] = number(cells["training, min"], 2)
    shown["memory, GiB"] = number(memory_mib and memory_mib / 1024, 2)
    return shown | {"s / image": number(cells["s / image"], 2)}


def _start(row: Row, rows: Sequence[Row]) -> str | None:
    """Return the start weights of a row, with digests of their files if other weights have the same name."""
    recipe = row.recipe
    others = {other.recipe.start_digests for other in rows if other.recipe.start == recipe.start}
    digests = recipe.start_digests if len(others) > 1 else ()
    return recipe.start and " ".join([recipe.start, *(digest[:8] for digest in digests)])


def _average_precision(images: Sequence[TestedImage], thresholds: slice) -> float:
    """Return the average precision, pooled over images, as the mean over some IoU thresholds."""
    particles = sum(image.particles for image in images)
    outcomes = [image.outcomes[:, thresholds] for image in images]
    return float(pooled_average_precision([image.scores for image in images], outcomes, particles).mean())


def _ecd_residuals_percent(images: Sequence[TestedImage]) -> np.ndarray:
    return np.concatenate([image.ecd_residuals_percent for image in images])


def _percent(parts: Sequence[int], wholes: Sequence[int]) -> float:
    return 100 * sum(parts) / sum(wholes) if sum(wholes) else float("nan")
