"""The report of a tested split: CSV files, figures, overlays, and the tables of the paper's section 4 as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from semsize.measuring import tables
from semsize.measuring.overlays import draw_overlay, write_png
from semsize.measuring.tables import markdown_table
from semsize.metrology import metrics
from semsize.metrology.comparison import GROUPS, PLATEAU, STATE_GROUPS, ImageComparison, ScoreCurve, score_curve
from semsize.metrology.matching import MIN_DICE, OPERATING_SCORE
from semsize.metrology.metrics import RESIDUAL_MEASURANDS, size_measurand
from semsize.metrology.size_distribution import quantiles
from semsize.sem import read_grey
from semsize.structures import CONFIGURATIONS
from semsize.structures.files import in_json, write_json

CAPTIONS = {
    "sizes": "Equivalent circular diameters, reference and measured",
    "residuals": "Residuals of every measurand, useful particles",
    "residual_against_size": "Residual of the ECD against size",
    "dice": "Dice coefficients of the matched particles",
    "thresholds": "Results for each score threshold; dashed: the suggested one",
}
TRUE_COLOUR, FOUND_COLOUR = "#4477aa", "#ee6677"
GROUP_COLOURS = dict(zip(STATE_GROUPS, ("#228833", "#88aa22", "#ccaa33", "#aa7755"), strict=True))
FIGURE = dict(dpi=110, layout="constrained")
LIMITS_PERCENT = (-25, 25)  # larger residuals are in the outermost bars, or outside the axes


def write_report(
    folder: str | Path,
    images: Sequence[ImageComparison],
    record: Mapping,
    pictures: Path,
    *,
    min_score: float = OPERATING_SCORE,
    overlays: str | Path | None = None,
) -> ScoreCurve:
    """Write `metrics.json`, `particles.csv`, `detections.csv`, `images.csv`, `report.md`, figures and overlays.

    Args:
        folder: ``work_dirs/<config>/<split>``.
        images: the comparisons of all images of the split.
        record: contents of ``metrics.json``, to which ``suggested`` is added, the operating point suggested here.
        pictures: folder of the image files.
        min_score: the score from which particles were compared.
        overlays: folder for the images with true and found outlines; None: ``folder/overlays``.

    Returns:
        The results for each score threshold, and the suggested threshold.
    """
    folder = Path(folder)
    (folder / "metrics.json").unlink(missing_ok=True)  # rewritten last, so that it never stands beside older tables
    curve = score_curve([image.truth for image in images], [image.detections for image in images])
    write_csvs(folder, images)
    figures = {
        "sizes": _size_histograms(images),
        "residuals": _residual_histograms(images),
        "residual_against_size": _residual_against_size(images),
        "dice": _dice_histogram(images),
        "thresholds": _threshold_figure(curve),
    }
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / "figures" / f"{name}.png")
    (folder / "report.md").write_text(_report(images, curve, record, min_score), encoding="utf-8")
    write_json(folder / "metrics.json", in_json({**record, "suggested": vars(curve.operating_point)}), indent=2)
    _draw_overlays(images, pictures, Path(overlays or folder / "overlays"), min_score)
    return curve


def write_csvs(folder: Path, images: Sequence[ImageComparison]) -> None:
    """Write `particles.csv`, `detections.csv` and `images.csv`, from which runs are compared."""
    columns = (*tables.PARTICLE_COLUMNS, *tables.TRUTH_COLUMNS)
    rows = (row for image in images for row in tables.particle_rows(image))
    tables.write_csv(folder / "particles.csv", columns, rows)
    rows = (row for image in images for row in tables.detection_rows(image.truth, image.detections))
    tables.write_csv(folder / "detections.csv", ("image", "score", "outcomes"), rows)
    rows = (tables.image_row(image.truth) for image in images)
    tables.write_csv(folder / "images.csv", ("image", "configuration", "particles", "useful"), rows)


def _draw_overlays(images: Sequence[ImageComparison], pictures: Path, folder: Path, min_score: float) -> None:
    for image in tqdm(images, desc="drawing", unit="image", disable=None):
        truth = image.truth
        picture = draw_overlay(
            read_grey(pictures / truth.file_name),
            truth.masks,
            image.found.masks,
            image.matching,
            states=truth.states,
            ignored_regions=truth.ignored,
            caption=f"{truth.file_name}, score ≥ {min_score:g}",
        )
        write_png(folder / f"{Path(truth.file_name).stem}.png", picture)


def _report(images: Sequence[ImageComparison], curve: ScoreCurve, record: Mapping, min_score: float) -> str:
    counts, quality = metrics.detection_counts(images), metrics.instance_quality(images)
    found = [(group, metrics.found_counts(images, group)) for group in GROUPS]
    found_rows = [[group, count.reference, count.measured, count.percentage] for group, count in found]
    point = curve.operating_point
    limits = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in record["operating_point"].items())
    parts = [
        f"# {record['config']}, {record['split']}: {len(images)} images\n",
        f"Operating point of the test: {limits}. Single particles are counted from score "
        f"{min_score:g} on and matched one to one at Dice ≥ {MIN_DICE:g}. Specks, and detections on them, are not "
        "counted.\n",
        "## Particles found (Table 2)\n",
        markdown_table(["particles", "reference", "measured", "%"], found_rows, decimals=1),
        f"`complete` includes `isolated`. Found in all: {counts.found}; false positives: {counts.false_positives}; "
        f"precision {counts.precision:.3f}.\n",
        "## Average precision (Table 3)\n",
        _precision_table(record["metrics"]),
        "## Overlap of the matched particles (Table 4)\n",
        markdown_table(
            ["Dice", "mean", "median", "std", "min", "max"],
            [[group, *vars(metrics.dice_spread(images, group)).values()] for group in GROUPS],
        ),
        "## Residuals, (measured - reference) / reference\n",
        *(f"{group}:\n\n{_residual_table(images, group)}" for group in ("useful", "all")),
        "## Size distribution, by number\n",
        _size_table(images),
        "## For comparison with published values\n",
        markdown_table(["metric", "value"], [[name.replace("_", " "), value] for name, value in vars(quality).items()]),
        _by_configuration(images),
        "## Score threshold\n",
        _threshold_table(curve),
        f"Suggested here: **{point.score:g}**, the highest threshold with the largest F = 2·useful found / (useful + "
        f"useful found + false positives); F is within {PLATEAU:g} of its maximum from {point.plateau_from:g} to "
        f"{point.plateau_to:g}. It finds {point.useful_found_percent:.1f} % of the useful particles, with "
        f"{point.false_per_useful_found:.2f} false positives per useful particle found. Choose on training folds "
        "(`tools/cross_validate.py`), not on the images that are judged, and give it to `tools/test.py --min-score`.\n",
        "## Figures\n",
        *(f"![{text}](figures/{name}.png)\n" for name, text in CAPTIONS.items()),
    ]
    return "\n".join(parts)


def _precision_table(metrics: Mapping) -> str:
    names = ("mAP", "AP50", "AP75", "AP90")
    rows = [
        [kind, what, *(metrics.get(f"coco/{key}_{name}{end}") for name in names)]
        for kind, key in (("mask", "segm"), ("box", "bbox"))
        for what, end in (
            ("all scores", ""),
            ("Table 1's operating point: score 0.5, box NMS 0.3, 512 instances", "_table1"),
            ("COCO's cap of 100 an image", "_cap100"),
        )
    ]
    return markdown_table(["", "detections", *names], rows)


def _residual_table(images: Sequence[ImageComparison], group: str) -> str:
    rows = [
        [name.removesuffix("_px").replace("_", " "), *vars(metrics.residuals(images, group, name)).values()]
        for name in RESIDUAL_MEASURANDS
    ]
    header = ["measurand", "mean, %", "std, %", "within ±1 %, %", "within ±5 %, %", "particles"]
    return markdown_table(header, rows, decimals=2)


def _size_table(images: Sequence[ImageComparison]) -> str:
    rows = []
    for group in GROUPS:
        true, measured = metrics.true_sizes(images, group), metrics.measured_sizes(images, group)
        rows.append([group, len(true), len(measured), *vars(metrics.size_errors(images, group)).values()])
    header = ["particles", "true", "measured", "D10 error, %", "D50 error, %", "D90 error, %", "Kolmogorov distance"]
    return markdown_table(header, rows, decimals=2)


def _by_configuration(images: Sequence[ImageComparison]) -> str:
    rows = []
    for configuration in CONFIGURATIONS:
        chosen = [image for image in images if image.truth.configuration == configuration]
        if chosen:
            particles, useful = (metrics.found_counts(chosen, group) for group in ("all", "useful"))
            row = [configuration, len(chosen), particles.reference, particles.percentage, useful.percentage]
            ecd, dice = metrics.residuals(chosen, "useful", "ecd_px"), metrics.dice_spread(chosen, "all")
            rows.append([*row, metrics.detection_counts(chosen).false_positives, dice.mean, ecd.mean, ecd.std])
    if not rows:
        return "The images' configuration (agglomerated, scattered, matrix) is not known.\n"
    header = ["configuration", "images", "particles", "found, %", "useful found, %", "false positives", "Dice"]
    return "## By configuration\n\n" + markdown_table([*header, "ECD bias, %", "ECD spread, %"], rows, decimals=2)


def _threshold_table(curve: ScoreCurve) -> str:
    found, false = curve.useful_found, curve.false_positives
    rate = np.divide(false, found, out=np.full(len(found), np.nan), where=found > 0)
    columns = (curve.scores, found, 100 * found / max(curve.useful, 1), false, rate, curve.agreement, curve.d50)
    rows = [[value.item() for value in row] for row in zip(*columns, curve.d50_errors_percent, strict=True)]
    header = ["score", "useful found", "%", "false positives", "per useful found", "F", "D50", "D50 error, %"]
    counts = f"\nThere are {curve.useful} useful particles, and the true D50 is {curve.true_d50:.2f}.\n"
    return markdown_table(header, rows, decimals=2) + counts


def _size_histograms(images: Sequence[ImageComparison]) -> Figure:
    """Draw reference and measured ECD of all and of useful particles, and cumulative curves with D10, D50, D90."""
    figure = Figure(figsize=(11, 6.5), **FIGURE)
    unit = size_measurand(images).rpartition("_")[2]
    for (above, below), group in zip(figure.subplots(2, 2).T, ("all", "useful"), strict=True):
        true, found = metrics.true_sizes(images, group), metrics.measured_sizes(images, group)
        if true.size + found.size:
            bins = np.linspace(0, quantiles(np.concatenate([true, found]), (0.995,))[0] * 1.02, 41)
            above.hist(true, bins, color=TRUE_COLOUR, alpha=0.55, label=f"reference ({len(true)})")
            label = f"measured ({len(found)})"
            above.hist(found, bins, histtype="step", linewidth=1.6, color=FOUND_COLOUR, label=label)
            above.legend(fontsize=8)
        above.set(title=f"{group} particles", ylabel="particles")
        for sizes, colour in ((true, TRUE_COLOUR), (found, FOUND_COLOUR)):
            if sizes.size:
                below.step(np.sort(sizes), np.arange(1, len(sizes) + 1) / len(sizes), color=colour)
                below.plot(quantiles(sizes), (0.1, 0.5, 0.9), "o", color=colour, markersize=4)
        below.set(xlabel=f"ECD, {unit}", ylabel="cumulative, by number")
    return figure


def _residual_histograms(images: Sequence[ImageComparison]) -> Figure:
    """Draw the residuals of every measurand over the matched useful particles."""
    figure = Figure(figsize=(13, 6), **FIGURE)
    for axes, measurand in zip(figure.subplots(2, 4).flat, RESIDUAL_MEASURANDS, strict=True):
        values = metrics.residual_values(images, "useful", measurand)
        axes.hist(np.clip(values, *LIMITS_PERCENT), np.linspace(*LIMITS_PERCENT, 51), color=FOUND_COLOUR)
        axes.axvline(0, color="black", linewidth=0.8)
        if values.size > 1:
            axes.axvline(values.mean(), color=TRUE_COLOUR, linestyle="--", linewidth=1)
            name = measurand.removesuffix("_px").replace("_", " ").replace("ecd", "ECD")
            axes.set_title(f"{name}: {values.mean():+.2f} ± {values.std(ddof=1):.2f} %", fontsize=9)
        axes.set_xlabel("residual, %", fontsize=8)
    title = "(measured - reference) / reference, useful particles; mean ± standard deviation; "
    figure.suptitle(title + "the outer bars include all larger ones", fontsize=10)
    return figure


def _residual_against_size(images: Sequence[ImageComparison]) -> Figure:
    """Draw residual against reference ECD, coloured by state, and the means over tenths of the particles."""
    figure = Figure(figsize=(9, 5), **FIGURE)
    axes, measurand = figure.subplots(), size_measurand(images)
    for group, colour in {**GROUP_COLOURS, "all": "#bbbbbb"}.items():
        chosen = [image.matched_members(group) for image in images]
        sizes = [
            getattr(i.true_measurands, measurand)[i.matching.truth][c] for i, c in zip(images, chosen, strict=True)
        ]
        size, residual = np.concatenate([[], *sizes]), metrics.residual_values(images, group, measurand)
        is_all = group == "all"
        if is_all or len(size):
            style = dict(s=5, zorder=1, label="state not known") if is_all else dict(s=7, zorder=2, label=group)
            axes.scatter(size, residual, color=colour, **style)
    parts = np.array_split(np.argsort(size), 10)  # `size` and `residual` are now those of the last group, all
    if len(size) >= 20:
        means, stds = ([f(residual[part]) for part in parts] for f in (np.mean, lambda values: values.std(ddof=1)))
        style = dict(color="black", fmt="o-", markersize=4, capsize=3, linewidth=1, zorder=3)
        axes.errorbar(
            [np.median(size[part]) for part in parts], means, stds, label="mean ± standard deviation", **style
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel=f"reference ECD, {measurand[-2:]}", ylabel="residual of the ECD, %", ylim=LIMITS_PERCENT)
    if len(size):
        axes.set_xscale("log")
        axes.xaxis.set(major_formatter="{x:g}", minor_formatter="{x:g}")
        axes.tick_params(axis="x", which="minor", labelsize=7)
    axes.legend(fontsize=8)
    return figure


def _dice_histogram(images: Sequence[ImageComparison]) -> Figure:
    """Draw the Dice coefficients of the matched particles, stacked by state."""
    axes = (figure := Figure(figsize=(8, 4), **FIGURE)).subplots()
    dice = {g: np.concatenate([[], *(i.matching.dice[i.matched_members(g)] for i in images)]) for g in STATE_GROUPS}
    shown = [group for group in STATE_GROUPS if dice[group].size]
    if shown:
        values, colours = [dice[group] for group in shown], [GROUP_COLOURS[group] for group in shown]
        axes.hist(values, np.linspace(MIN_DICE, 1, 51), stacked=True, label=shown, color=colours)
        axes.legend(fontsize=8)
    axes.set(xlabel="Dice coefficient", ylabel="matched particles")
    return figure


def _threshold_figure(curve: ScoreCurve) -> Figure:
    """Draw useful particles found, false positives and error of D50 by score threshold; dashed: the suggestion."""
    figure, point = Figure(figsize=(11, 4), **FIGURE), curve.operating_point
    left, right = figure.subplots(1, 2)
    for counts, label in ((curve.useful_found, "useful found"), (curve.false_positives, "false positives")):
        left.plot(curve.scores, 100 * counts / max(curve.useful, 1), "o-", label=label, ms=3)
    left.set(xlabel="score threshold", ylabel="% of the useful particles")
    left.legend(fontsize=8)
    right.plot(curve.scores, curve.d50_errors_percent, "o-", color=FOUND_COLOUR, ms=3)
    right.axhline(0, color=TRUE_COLOUR)
    right.set(xlabel="score threshold", ylabel="error of D50, %")
    for axes in (left, right):
        axes.axvspan(point.plateau_from, point.plateau_to, color="black", alpha=0.08)
        axes.axvline(curve.suggested, color="black", linestyle="--", linewidth=0.8)
    return figure
