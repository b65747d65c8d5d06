"""Tables of a bias record and of a visibility record, as Markdown for the screen and for model cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semsize.measuring.tables import markdown_table
from semsize.metrology import BiasRecord
from semsize.metrology.bias_record import ResidualClass
from semsize.metrology.occlusion import OcclusionClass
from semsize.visibility.completion import FractionErrors
from semsize.visibility.record import VisibilityRecord


def bias_tables(record: BiasRecord) -> str:
    """Tables of residuals by size, of the effect of occlusion by area fraction, and of the ranges, as Markdown."""

    def percents(group: ResidualClass | OcclusionClass, name: str) -> list[float]:
        return [100 * value for value in (getattr(group, name), group.standard_error, group.between_image_std)]

    residuals = [
        [
            f"{group.low_px:g} to {'' if group.high_px is None else format(group.high_px, 'g')}".strip(),
            *(group.particles, group.images, *percents(group, "residual")),
        ]
        for group in record.residuals
    ]
    occlusion = [
        [
            f"{group.low:g} to {group.high:g}",
            *(group.images, group.detected, group.fully_imaged, *percents(group, "effect")),
        ]
        for group in record.occlusion
    ]
    ranges = [[name, *(ends or (None, None))] for name, ends in vars(record.ranges).items()]
    spread = "standard error, %|between images, %"
    tables = (
        (f"ECD found, px|particles|images|mean residual, %|{spread}", residuals),
        (f"area fraction|images|found|fully imaged|D50 found against fully imaged, %|{spread}", occlusion),
        ("validated for|from|to", ranges),
    )
    return "\n".join(markdown_table(header.split("|"), rows, decimals=2) for header, rows in tables if rows)


def fraction_errors_table(by_size: Mapping[str, Sequence[FractionErrors]], fraction: str) -> str:
    """Table of the errors of completed sizes and the coverage of their intervals, by visible fraction, as Markdown.

    Args:
        by_size: each of `SIZES` to its errors.
        fraction: heading of the column of classes, which says whether the visible fraction is predicted or true.
    """
    rows = [
        [
            size.replace("ecd", "ECD"),
            f"{e.low:g} to {e.high:g}",
            e.particles,
            e.error_percent,
            e.error_std_percent,
            e.covered_percent,
        ]
        for size, errors in by_size.items()
        for e in errors
    ]
    header = ["size", fraction, "particles", "error, %", "its sd, %", "in 95 % interval, %"]
    return markdown_table(header, rows, decimals=1)


def visibility_tables(record: VisibilityRecord, by_true_fraction: Mapping[str, Sequence[FractionErrors]]) -> str:
    """Tables of the effect of each step on D10, D50, D90 and mean, and of errors by predicted and by true fraction.

    Args:
        record: the record of a visibility model.
        by_true_fraction: each of `SIZES` to its errors, in the images on which the record was judged.
    """
    groups = {"fully imaged": record.fully_imaged, "completed": record.completed}
    named = [(f"{group}: {step.name}", step) for group, steps in groups.items() for step in steps]
    named += [(f"selection, area fraction {d.low:g} to {d.high:g}", d.step) for d in record.selection]
    spreads = {}
    if record.prior:
        spreads["completion"] = record.prior.completion
        spreads |= {f"selection, area fraction {d.low:g} to {d.high:g}": d.effects for d in record.prior.selection}
    rows = [
        [
            name,
            *(
                f"{100 * e.effect:+.1f} ± {100 * e.standard_error:.1f}; {100 * e.between_image_std:.1f}"
                for e in step.effects
            ),
        ]
        for name, step in named
    ]
    rows += [
        [f"other renderer: {name}", *(f"within ± {100 * e.half_width:.1f}" for e in effects)]
        for name, effects in spreads.items()
    ]
    predicted = {"ecd": record.errors, **{calibrated.size: calibrated.errors for calibrated in record.feret}}
    header = [
        "step: effect ± standard error; between images, %",
        *(effect.statistic for effect in record.fully_imaged[0].effects),
    ]
    right = f"states right: {record.states_right:.3f}, expected calibration error {record.calibration_error:.3f}"
    tables = (
        markdown_table(header, rows),
        fraction_errors_table(predicted, "visible fraction predicted"),
        fraction_errors_table(by_true_fraction, "true visible fraction"),
    )
    return "\n".join((*tables, f"{right}; {record.fitted_images} images fitted, {record.judged_images} judged"))
