"""The report of a tested split: tables of the paper's section 4 as Markdown, figures, CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from semsize.measuring import csv_files
from semsize.measuring.tables import markdown_table
from semsize.metrology import summaries
from semsize.metrology.comparison import (
    GROUPS,
    OPERATING_SCORE,
    ImageComparison,
    ImageFound,
    ImageTruth,
    compare_image,
    found_by_image,
    image_truths,
)
from semsize.metrology.figures_of_merit import CONFIGURATIONS
from semsize.metrology.matching import MIN_DICE
from semsize.metrology.thresholds import PLATEAU, ThresholdCurve, threshold_curve
from tio2.reporting import figures

FIGURES = {
    "sizes": "Equivalent circular diameters, reference and measured",
    "residuals": "Residuals of every measurand, useful particles",
    "residual_against_size": "Residual of the ECD against size",
    "dice": "Dice coefficients of the matched particles",
    "thresholds": "What each score threshold gives; dashed: the one suggested",
}


def write_report(
    folder: str | Path,
    truth: Mapping,
    predictions: Sequence[Mapping],
    record: Mapping,
    *,
    min_score: float = OPERATING_SCORE,
) -> ThresholdCurve:
    """Writes `particles.csv`, `detections.csv`, `images.csv`, `figures/` and `report.md` into a split's folder.

    Args:
        folder: ``work_dirs/<config>/<split>``.
        truth: contents of the annotation file.
        predictions: contents of ``predictions.json``.
        record: contents of ``metrics.json``, for the report's head and for Table 3.
        min_score: found particles below it are left out of all but average precision and the threshold curve.

    Returns:
        What each score threshold gives, and the one that it suggests.
    """
    folder = Path(folder)
    truths = image_truths(truth)
    founds = found_by_image(predictions, truths)
    images = [compare_image(t, f, min_score=min_score) for t, f in zip(truths, founds, strict=True)]
    curve = threshold_curve(truths, founds)
    write_csvs(folder, truths, founds, images)
    drawn = {
        "sizes": figures.size_histograms(images),
        "residuals": figures.residual_histograms(images),
        "residual_against_size": figures.residual_against_size(images),
        "dice": figures.dice_histogram(images),
        "thresholds": figures.threshold_figure(curve),
    }
    for name, figure in drawn.items():
        figures.write_figure(folder / "figures" / f"{name}.png", figure)
    (folder / "report.md").write_text(_report(images, curve, record, min_score), encoding="utf-8")
    return curve


def write_csvs(
    folder: str | Path, truths: Sequence[ImageTruth], founds: Sequence[ImageFound], images: Sequence[ImageComparison]
) -> None:
    """Writes `particles.csv`, `detections.csv` and `images.csv`, which is what runs are compared by."""
    folder = Path(folder)
    columns = (*csv_files.PARTICLE_COLUMNS, *csv_files.TRUTH_COLUMNS)
    rows = (row for image in images for row in csv_files.particle_rows(image))
    csv_files.write_csv(folder / "particles.csv", columns, rows)
    rows = (row for t, f in zip(truths, founds, strict=True) for row in csv_files.detection_rows(t, f))
    csv_files.write_csv(folder / "detections.csv", ("image", "score", "outcomes"), rows)
    columns = ("image", "configuration", "particles", "useful")
    csv_files.write_csv(folder / "images.csv", columns, map(csv_files.image_row, truths))


def _report(images: Sequence[ImageComparison], curve: ThresholdCurve, record: Mapping, min_score: float) -> str:
    found = summaries.detection_counts(images)
    parts = [
        f"# {record['config']}, {record['split']}: {len(images)} images\n",
        f"Operating point of the test: {_operating_point(record)}. Single particles are counted from score "
        f"{min_score:g} on and matched one to one at Dice ≥ {MIN_DICE:g}; specks count for and against nobody.\n",
        "## Particles found (Table 2)\n",
        _table2(images),
        f"`complete` includes `isolated`. In all {found.found} found, {found.false_positives} of them false: precision "
        f"{found.precision:.3f}.\n",
        "## Average precision (Table 3)\n",
        _table3(record["metrics"]),
        "## Overlap of the matched particles (Table 4)\n",
        _table4(images),
        "## Residuals, (measured - reference) / reference\n",
        "\n".join(f"{group}:\n\n{_residual_table(images, group)}" for group in ("useful", "all")),
        "## Size distribution, by number\n",
        _size_table(images),
        "## To set beside published figures\n",
        _quality_table(images),
        _by_configuration(images),
        "## Score threshold\n",
        _threshold_table(curve),
        _threshold_text(curve),
        "## Figures\n",
        *(f"![{text}](figures/{name}.png)\n" for name, text in FIGURES.items()),
    ]
    return "\n".join(parts)


def _operating_point(record: Mapping) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in record["operating_point"].items())


def _table2(images: Sequence[ImageComparison]) -> str:
    rows = []
    for group in GROUPS:
        counts = summaries.found_counts(images, group)
        rows.append([group, counts.reference, counts.measured, counts.percentage])
    return markdown_table(["particles", "reference", "measured", "%"], rows, decimals=1)


def _table3(metrics: Mapping) -> str:
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


def _table4(images: Sequence[ImageComparison]) -> str:
    rows = [[group, *vars(summaries.dice_spread(images, group)).values()] for group in GROUPS]
    return markdown_table(["Dice", "mean", "median", "std", "min", "max"], rows)


def _residual_table(images: Sequence[ImageComparison], group: str) -> str:
    rows = [
        [name.removesuffix("_px").replace("_", " "), *vars(summaries.residuals(images, group, name)).values()]
        for name in summaries.RESIDUAL_MEASURANDS
    ]
    header = ["measurand", "mean, %", "std, %", "within ±1 %, %", "within ±5 %, %", "particles"]
    return markdown_table(header, rows, decimals=2)


def _size_table(images: Sequence[ImageComparison]) -> str:
    rows = []
    for group in GROUPS:
        errors = summaries.size_errors(images, group)
        counts = [len(sizes(images, group)) for sizes in (summaries.true_sizes, summaries.measured_sizes)]
        rows.append([group, *counts, *vars(errors).values()])
    header = ["particles", "true", "measured", "D10 error, %", "D50 error, %", "D90 error, %", "Kolmogorov distance"]
    return markdown_table(header, rows, decimals=2)


def _quality_table(images: Sequence[ImageComparison]) -> str:
    quality = summaries.instance_quality(images)
    return markdown_table(
        ["figure", "value"], [[name.replace("_", " "), value] for name, value in vars(quality).items()]
    )


def _by_configuration(images: Sequence[ImageComparison]) -> str:
    rows = []
    for configuration in CONFIGURATIONS:
        chosen = [image for image in images if image.truth.configuration == configuration]
        if chosen:
            found, all_, useful = (
                summaries.detection_counts(chosen),
                summaries.found_counts(chosen, "all"),
                summaries.found_counts(chosen, "useful"),
            )
            dice, ecd = summaries.dice_spread(chosen, "all"), summaries.residuals(chosen, "useful", "ecd_px")
            counts = (len(chosen), all_.reference, all_.percentage, useful.percentage, found.false_positives)
            rows.append([configuration, *counts, dice.mean, ecd.mean, ecd.std])
    if not rows:
        return "The images' configuration (agglomerated, scattered, matrix) is not known.\n"
    header = ["configuration", "images", "particles", "found, %", "useful found, %", "false positives", "Dice"]
    return "## By configuration\n\n" + markdown_table([*header, "ECD bias, %", "ECD spread, %"], rows, decimals=2)


def _threshold_table(curve: ThresholdCurve) -> str:
    found, false = curve.useful_found.astype(float), curve.false_positives.astype(float)
    rate = np.divide(false, found, out=np.full(len(found), np.nan), where=found > 0)
    columns = (curve.scores, curve.useful_found, 100 * found / max(curve.useful, 1), curve.false_positives, rate)
    columns = (*columns, curve.agreement, curve.d50, curve.d50_errors_percent)
    rows = [[value.item() for value in row] for row in zip(*columns, strict=True)]
    header = ["score", "useful found", "%", "false positives", "a useful one found", "F", "D50", "D50 error, %"]
    table = markdown_table(header, rows, decimals=2)
    return f"{table}\nThere are {curve.useful} useful particles, and the true D50 is {curve.true_d50:.2f}.\n"


def _threshold_text(curve: ThresholdCurve) -> str:
    point = curve.operating_point
    return (
        f"Suggested here: **{point.score:g}**, where F = 2·useful found / (useful + useful found + false positives) is "
        f"largest, of equals the highest; F is within {PLATEAU:g} of that from {point.plateau_from:g} to "
        f"{point.plateau_to:g}. It finds {point.useful_found_percent:.1f} % of the useful particles, with "
        f"{point.false_per_useful_found:.2f} false positives a useful one found. Choose on training folds "
        "(`tools/cross_validate.py`), not on the images that are judged, and name it: `tools/test.py --min-score`.\n"
    )
