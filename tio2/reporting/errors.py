"""Errors of a tested split by cause: tables, and a sheet of examples with truth and detections outlined."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from semsize.measuring import overlays
from semsize.measuring.overlays import FALSE_POSITIVE, MISSED, STRIP_COLOUR, TRUE_OUTLINE, Colour, Entry, outline
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.error_causes import CIRCUMSTANCES, FALSE_CAUSES, MISS_CAUSES, ImageErrors
from semsize.metrology.matching import f1_score
from semsize.metrology.measurands import equivalent_circular_diameter
from semsize.metrology.metrics import diameter_differences, diameter_spread
from semsize.structures.masks import CroppedMasks

NOTHING = "on no particle"

ERROR_COLUMNS = ("image", "error", "true_id", "id", "score", "cause", "circumstance", "state", "ecd_px", "x_px", "y_px")
"""``true_id``: annotation of a missed particle; ``id``: number of a false positive in `particles.csv`; state and
circumstance of a false positive: those of the particle with the largest Dice; x and y: the middle of the box."""

FOUND_OUTLINE: Colour = (0, 215, 120)
MARGIN_PX = 11
PANEL_PX = 200
LINE_PX = 16
GAP_PX = 6
MAX_SCALE = 6
TEXT_COLOUR: Colour = (235, 235, 235)
LEGEND = (
    Entry("missed", MISSED),
    Entry("false positive", FALSE_POSITIVE),
    Entry("annotated", TRUE_OUTLINE),
    Entry("found", FOUND_OUTLINE),
)


@dataclass(frozen=True, eq=False)
class JudgedImage:
    """An image's truth and detections, the causes of its errors, and its grey levels, (H, W) from 0 to 255."""

    image: ImageComparison
    errors: ImageErrors
    grey: np.ndarray


@dataclass(frozen=True, eq=False)
class Example:
    """One error: a missed particle or a false positive, by its index among the true or the found masks."""

    judged: JudgedImage
    number: int
    missed: bool

    @property
    def mask(self) -> CroppedMasks:
        """The mask of the missed particle or of the false positive."""
        return (self.judged.image.truth if self.missed else self.judged.image.found).masks[self.number]

    @property
    def caption(self) -> str:
        """The image, then a miss's annotation and state, or a false positive's number in `particles.csv` and score."""
        truth, name = self.judged.image.truth, Path(self.judged.image.truth.file_name).stem
        if self.missed:
            return f"{name} #{truth.particle_ids[self.number]} {truth.states[self.number] or ''}"
        return f"{name} {self.number + 1} score {self.judged.image.found.scores[self.number]:.2f}"


def errors_markdown(images: Sequence[JudgedImage], head: str) -> str:
    """Return Markdown tables of errors by cause, by circumstance and by image, under the heading ``head``."""
    parts = [
        f"# {head}\n",
        "An error has the cause whose rule holds first. Useful particles have a state other than unusable.\n",
        "## Missed particles\n",
        _misses(images),
        "## False positives\n",
        _false_positives(images),
        "## By circumstance of the particle\n",
        "A false positive counts for the particle with which its Dice is largest. ECD: found - true of matched "
        "particles; middle sd: that of a normal distribution with the same median absolute deviation.\n",
        _circumstances(images),
        "## Images, worst first\n",
        "F = 2·useful found / (useful + useful found + false positives).\n",
        _by_image(images),
    ]
    return "\n".join(parts)


def error_rows(judged: JudgedImage) -> Iterator[dict[str, object]]:
    """Yield a row of `ERROR_COLUMNS` for each miss, then for each false positive."""
    image, errors = judged.image, judged.errors
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
    """Return F of an image, 0 to 1, by its useful particles, or by all if none is useful; NaN if it is empty."""
    useful = image.truth.members("useful")
    useful = useful if useful.any() else image.truth.members("all")
    found = int(useful[image.matching.truth].sum())
    return float(f1_score(found, int(useful.sum()), found + len(image.matching.false_positives)))


def _misses(images: Sequence[JudgedImage]) -> str:
    counts: Counter[tuple[str, bool]] = Counter()
    for judged in images:
        useful = judged.image.truth.members("useful")[judged.image.matching.missed]
        counts.update(zip(judged.errors.miss_causes, useful.tolist(), strict=True))
    rows = [[cause, counts[cause, True], counts[cause, False], rule] for cause, rule in MISS_CAUSES.items()]
    rows.append(["all", *(sum(row[column] for row in rows) for column in (1, 2)), ""])
    return markdown_table(["cause", "useful", "other", "rule"], rows)


def _false_positives(images: Sequence[JudgedImage]) -> str:
    counts = Counter(cause for judged in images for cause in judged.errors.false_causes)
    rows = [[cause, counts[cause], rule] for cause, rule in FALSE_CAUSES.items()]
    return markdown_table(["cause", "number", "rule"], [*rows, ["all", counts.total(), ""]])


def _circumstances(images: Sequence[JudgedImage]) -> str:
    particles, missed, false = Counter(), Counter(), Counter()
    differences_px = defaultdict(list)
    for judged in images:
        matching, circumstances = judged.image.matching, judged.errors.circumstances
        particles.update(circumstances)
        missed.update(circumstances[number] for number in matching.missed)
        false.update(circumstances[number] if number >= 0 else NOTHING for number in judged.errors.nearest)
        for number, difference in zip(matching.truth, diameter_differences(judged.image), strict=True):
            differences_px[circumstances[number]].append(difference)
    rows = []
    for name, rule in {**CIRCUMSTANCES, NOTHING: "a detection that overlaps no particle"}.items():
        spread = diameter_spread(np.array(differences_px[name]))
        percent = 100 * missed[name] / particles[name] if particles[name] else float("nan")
        row = [name, particles[name], missed[name], percent, false[name]]
        rows.append([*row, spread.mean_px, spread.std_px, spread.middle_std_px, rule])
    header = ["", "particles", "missed", "%", "false positives", "ECD, px", "sd, px", "middle sd, px", "rule"]
    return markdown_table(header, rows, decimals=2)


def _by_image(images: Sequence[JudgedImage]) -> str:
    shares = [share_found_right(judged.image) for judged in images]
    rows = []
    for number in np.argsort(shares, kind="stable"):
        image, errors = images[number].image, images[number].errors
        useful = image.truth.members("useful")
        counts = [int(useful.sum()), int(useful[image.matching.missed].sum()), len(errors.false_causes)]
        causes = [_most(errors.miss_causes), _most(errors.false_causes)]
        rows.append([image.truth.file_name, shares[number], *counts, *causes])
    header = ["image", "F", "useful", "useful missed", "false", "most misses", "most false positives"]
    return markdown_table(header, rows, decimals=2)


def _most(causes: Sequence[str]) -> str:
    return ", ".join(f"{cause} {number}" for cause, number in Counter(causes).most_common(3))


def _where(box: np.ndarray, area_px: int) -> dict[str, float]:
    return {
        "ecd_px": float(equivalent_circular_diameter(area_px)),
        "x_px": float(box[0] + box[2]) / 2,
        "y_px": float(box[1] + box[3]) / 2,
    }


def miss_examples(
    images: Sequence[JudgedImage], causes: Sequence[str], most: int, seed: int | None = None
) -> dict[str, list[Example]]:
    """Return missed useful particles of each cause, or any missed particles if no image has a useful one.

    Args:
        images: whose misses to take.
        causes: in the order of the sheet.
        most: limit of examples per cause.
        seed: None takes the largest particles, a number draws at random.
    """
    group = "useful" if any(judged.image.truth.members("useful").any() for judged in images) else "all"
    examples = [
        (cause, Example(judged, number, missed=True))
        for judged in images
        for number, cause in zip(judged.image.matching.missed.tolist(), judged.errors.miss_causes, strict=True)
        if judged.image.truth.members(group)[number]
    ]
    return _chosen(examples, causes, most, seed, lambda example: -int(example.mask.areas[0]))


def false_examples(
    images: Sequence[JudgedImage], causes: Sequence[str], most: int, seed: int | None = None
) -> dict[str, list[Example]]:
    """Return false positives as `miss_examples` returns misses; without a seed those of the highest scores."""
    examples = [
        (cause, Example(judged, int(number), missed=False))
        for judged in images
        for number, cause in zip(judged.image.matching.false_positives, judged.errors.false_causes, strict=True)
    ]
    return _chosen(examples, causes, most, seed, lambda example: -example.judged.image.found.scores[example.number])


def draw_sheet(examples: Mapping[str, Sequence[Example]], columns: int, caption: str = "") -> np.ndarray:
    """Draw rows of examples under the name of their cause, and a legend below.

    Args:
        examples: heading to its examples; headings without any are left out.
        columns: examples in a row, from 1.
        caption: first text of the legend.

    Returns:
        (h, w, 3) uint8 RGB; w depends on `columns`.
    """
    width = columns * (2 * PANEL_PX + GAP_PX)
    rows = []
    for heading, of_cause in examples.items():
        if of_cause:
            rows.append(_text_line(heading, width, scale=0.6))
        for start in range(0, len(of_cause), columns):
            tiles = [_tile(example) for example in of_cause[start : start + columns]]
            row = np.concatenate(tiles, axis=1)
            rows.append(np.pad(row, ((0, GAP_PX), (0, width - row.shape[1]), (0, 0))))
    sheet = np.concatenate(rows) if rows else np.zeros((1, width, 3), np.uint8)
    return overlays.add_legend(sheet, LEGEND, caption)


def _chosen(
    examples: Sequence[tuple[str, Example]], causes: Sequence[str], most: int, seed: int | None, worst: Callable
) -> dict[str, list[Example]]:
    """Map "cause: number of examples" to at most ``most`` of them, sorted by ``worst`` or, given a seed, at random."""
    rng = None if seed is None else np.random.default_rng(seed)
    chosen = {}
    for cause in causes:
        found = [example for its_cause, example in examples if its_cause == cause]
        ordered = sorted(found, key=worst) if rng is None else [found[i] for i in rng.permutation(len(found))]
        chosen[f"{cause}: {len(found)}"] = ordered[:most]
    return chosen


def _tile(example: Example) -> np.ndarray:
    """Draw (PANEL_PX + LINE_PX, 2 · PANEL_PX + GAP_PX, 3): the bare and the outlined image, and a caption below."""
    truth, found, grey = example.judged.image.truth.masks, example.judged.image.found.masks, example.judged.grey
    box = left, top, right, bottom = _square_box(example.mask, truth.image_shape)
    scale = min(MAX_SCALE, max(1, PANEL_PX // (max(right - left, bottom - top) - 2)))
    bare = overlays.enlarged_rgb(grey[top:bottom, left:right], scale)
    drawn = bare.copy()
    outline(drawn, truth.crop(box), TRUE_OUTLINE, scale, width=1)
    outline(drawn, found.crop(box), FOUND_OUTLINE, scale, width=1)
    outline(drawn, example.mask.crop(box), MISSED if example.missed else FALSE_POSITIVE, scale, width=2)
    bare, drawn = (picture[scale:-scale, scale:-scale] for picture in (bare, drawn))  # drop the rim, which cuts masks
    panels = np.concatenate([_fitted(bare), _fitted(drawn), np.zeros((PANEL_PX, GAP_PX, 3), np.uint8)], axis=1)
    return np.concatenate([panels, _text_line(example.caption, panels.shape[1], scale=0.38)])


def _square_box(mask: CroppedMasks, image_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the mask's surroundings as x1, y1, x2, y2, square unless the frame cuts them."""
    x1, y1, x2, y2 = mask.boxes[0].astype(int).tolist()
    half = max(x2 - x1, y2 - y1) // 2 + MARGIN_PX
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    return max(x - half, 0), max(y - half, 0), min(x + half, image_shape[1]), min(y + half, image_shape[0])


def _fitted(picture: np.ndarray) -> np.ndarray:
    """Centre the picture in a square of PANEL_PX, shrunk if it is larger."""
    shrink = PANEL_PX / max(*picture.shape[:2], PANEL_PX)
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    picture = picture[:PANEL_PX, :PANEL_PX]
    rows, columns = PANEL_PX - picture.shape[0], PANEL_PX - picture.shape[1]
    return np.pad(picture, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)))


def _text_line(text: str, width: int, *, scale: float) -> np.ndarray:
    height = round(LINE_PX * max(1.0, scale / 0.4))
    line = np.full((height, width, 3), STRIP_COLOUR, np.uint8)
    cv2.putText(line, text, (3, height - 5), cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT_COLOUR, 1, cv2.LINE_AA)
    return line
