"""Errors by cause as tables: of a whole split, by what is special about the particles, image by image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.error_causes import CIRCUMSTANCES, FALSE_CAUSES, MISS_CAUSES, ImageErrors
from semsize.metrology.measurands import equivalent_circular_diameter
from semsize.metrology.metrics import diameter_differences, diameter_spread

NOTHING = "on no particle"

ERROR_COLUMNS = ("image", "error", "true_id", "id", "score", "cause", "circumstance", "state", "ecd_px", "x_px", "y_px")
"""``true_id`` is the annotation of a missed particle, ``id`` a false positive's number in `particles.csv`; state and
circumstance of a false positive are those of the particle that it resembles most; x and y the middle of the box."""


def errors_markdown(images: Sequence[ImageComparison], errors: Sequence[ImageErrors], head: str) -> str:
    """Misses by cause, false positives by cause, both by circumstance, images by their errors.

    Args:
        images: the comparisons.
        errors: their errors, in the same order.
        head: the first line, without "#".
    """
    parts = [
        f"# {head}\n",
        "The first rule that holds names the cause. Useful are particles of any state but unusable.\n",
        "## Missed particles\n",
        _misses(images, errors),
        "## False positives\n",
        _false_positives(errors),
        "## By what is special about the particle\n",
        "A false positive counts for the particle that it resembles most. ECD: found - true of what was matched; the "
        "middle standard deviation is that of a normal distribution with the same median absolute deviation.\n",
        _circumstances(images, errors),
        "## Images, the worst first\n",
        "F = 2·useful found / (useful + useful found + false positives).\n",
        _by_image(images, errors),
    ]
    return "\n".join(parts)


def error_rows(image: ImageComparison, errors: ImageErrors) -> Iterator[dict[str, object]]:
    """A row of `ERROR_COLUMNS` for each miss, then one for each false positive."""
    truth, found = image.truth, image.found
    for number, cause in zip(image.matching.missed, errors.miss_causes, strict=True):
        yield {
            "image": truth.file_name,
            "error": "miss",
            "true_id": int(truth.particle_ids[number]),
            "cause": cause,
            "circumstance": errors.circumstances[number],
            "state": truth.states[number],
            **_where(truth.masks.boxes[number], truth.masks.areas[number]),
        }
    for number, cause, nearest in zip(image.matching.false_positives, errors.false_causes, errors.nearest, strict=True):
        yield {
            "image": truth.file_name,
            "error": "false positive",
            "id": int(number) + 1,
            "score": float(found.scores[number]),
            "cause": cause,
            "circumstance": errors.circumstances[nearest] if nearest >= 0 else NOTHING,
            "state": truth.states[nearest] if nearest >= 0 else None,
            **_where(found.masks.boxes[number], found.masks.areas[number]),
        }


def share_found_right(image: ImageComparison) -> float:
    """F of an image, 0 to 1, by its useful particles, or all where no state is known; NaN where there is nothing."""
    useful = image.truth.members("useful")
    useful = useful if useful.any() else image.truth.members("all")
    found = int(useful[image.matching.truth].sum())
    judged = int(useful.sum()) + found + len(image.matching.false_positives)
    return 2 * found / judged if judged else float("nan")


def _misses(images: Sequence[ImageComparison], errors: Sequence[ImageErrors]) -> str:
    counts: Counter[tuple[str, bool]] = Counter()
    for image, of_image in zip(images, errors, strict=True):
        useful = image.truth.members("useful")[image.matching.missed]
        counts.update(zip(of_image.miss_causes, useful.tolist(), strict=True))
    rows = [[cause, counts[cause, True], counts[cause, False], rule] for cause, rule in MISS_CAUSES.items()]
    rows.append(["all", *(sum(row[column] for row in rows) for column in (1, 2)), ""])
    return markdown_table(["cause", "useful", "other", "rule"], rows)


def _false_positives(errors: Sequence[ImageErrors]) -> str:
    counts = Counter(cause for of_image in errors for cause in of_image.false_causes)
    rows = [[cause, counts[cause], rule] for cause, rule in FALSE_CAUSES.items()]
    return markdown_table(["cause", "number", "rule"], [*rows, ["all", counts.total(), ""]])


def _circumstances(images: Sequence[ImageComparison], errors: Sequence[ImageErrors]) -> str:
    particles, missed, false = Counter(), Counter(), Counter()
    apart_px = defaultdict(list)
    for image, of_image in zip(images, errors, strict=True):
        particles.update(of_image.circumstances)
        missed.update(of_image.circumstances[number] for number in image.matching.missed)
        false.update(of_image.circumstances[one] if one >= 0 else NOTHING for one in of_image.nearest)
        for number, difference in zip(image.matching.truth, diameter_differences(image), strict=True):
            apart_px[of_image.circumstances[number]].append(difference)
    rows = []
    for name, rule in {**CIRCUMSTANCES, NOTHING: "a detection that overlaps none"}.items():
        spread = diameter_spread(np.array(apart_px[name]))
        row = [name, particles[name], missed[name], _percent(missed[name], particles[name]), false[name]]
        rows.append([*row, spread.mean_px, spread.std_px, spread.middle_std_px, rule])
    header = ["", "particles", "missed", "%", "false positives", "ECD, px", "sd, px", "middle sd, px", "rule"]
    return markdown_table(header, rows, decimals=2)


def _by_image(images: Sequence[ImageComparison], errors: Sequence[ImageErrors]) -> str:
    order = np.argsort([share_found_right(image) for image in images], kind="stable")
    rows = []
    for image, of_image in ((images[one], errors[one]) for one in order):
        useful = image.truth.members("useful")
        row = [image.truth.file_name, share_found_right(image), int(useful.sum())]
        row += [int(useful[image.matching.missed].sum()), len(of_image.false_causes)]
        rows.append([*row, _most(of_image.miss_causes), _most(of_image.false_causes)])
    header = ["image", "F", "useful", "useful missed", "false", "most misses", "most false positives"]
    return markdown_table(header, rows, decimals=2)


def _most(causes: Sequence[str], kinds: int = 3) -> str:
    return ", ".join(f"{cause} {number}" for cause, number in Counter(causes).most_common(kinds))


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")


def _where(box: np.ndarray, area_px: int) -> dict[str, float]:
    return {
        "ecd_px": float(equivalent_circular_diameter(area_px)),
        "x_px": float(box[0] + box[2]) / 2,
        "y_px": float(box[1] + box[3]) / 2,
    }
