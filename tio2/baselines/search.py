"""A search over parameter sets for the best F1 at IoU 0.5: all sets on parts of images, then the best on all images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from semsize.metrology.comparison import image_truths
from semsize.metrology.matching import DICE_AT_IOU_50, f1_score, match
from semsize.sem.reading import read_grey
from semsize.structures import read_annotations
from semsize.structures.files import read_json, write_json
from semsize.structures.masks import CroppedMasks
from tio2.baselines.segmentation import Parameters, segment


class SearchError(ValueError):
    """A search.json that cannot be read."""


@dataclass(frozen=True, eq=False)
class Example:
    """An image, (H, W) grey levels, with its particles and the specks that count neither way."""

    image: np.ndarray
    truth: CroppedMasks
    ignored: CroppedMasks


@dataclass(frozen=True)
class ScoredSet:
    """A parameter set and its F1 at IoU 0.5, pooled over the images."""

    parameters: Parameters
    f1: float


@dataclass(frozen=True)
class SearchResult:
    """The set with the highest F1 on whole training images, how many were tried, and how long that took."""

    parameters: Parameters
    f1: float
    sets: int
    seconds: float


def run_search(
    data: Path, sets: Sequence[Parameters], finalists: int, path: Path, progress: Callable[[Sequence], Iterable]
) -> None:
    """Searches on the training images of ``data`` and writes both rounds, best first, to ``path``."""
    began = time.monotonic()
    truths = image_truths(read_annotations(data / "annotations" / "train.json"))
    images = data / "images" / "train"
    examples = [Example(read_grey(images / truth.file_name), truth.masks, truth.ignored) for truth in truths]
    first, second = search(sets, examples, finalists, progress)
    rounds = {"first": [asdict(scored) for scored in first], "second": [asdict(scored) for scored in second]}
    write_json(path, {"seconds": time.monotonic() - began, **rounds})


def read_search(path: Path) -> SearchResult:
    """What `run_search` wrote.

    Raises:
        SearchError: the file is missing or no JSON.
    """
    rounds = read_json(path, SearchError)
    best = rounds["second"][0]
    return SearchResult(Parameters(**best["parameters"]), best["f1"], len(rounds["first"]), rounds["seconds"])


def search(
    sets: Sequence[Parameters], examples: Sequence[Example], finalists: int, progress: Callable[[Sequence], Iterable]
) -> tuple[list[ScoredSet], list[ScoredSet]]:
    """Scores all sets on the central quarter of every other image, then the best ``finalists`` on whole images.

    Returns:
        Both rounds, each with the best first.
    """
    parts = [central_part(example) for example in examples[::2]]
    first = [ScoredSet(parameters, f1(parameters, parts)) for parameters in progress(sets)]
    first.sort(key=lambda scored: -scored.f1)
    best = [scored.parameters for scored in first[:finalists]]
    second = [ScoredSet(parameters, f1(parameters, examples)) for parameters in progress(best)]
    return first, sorted(second, key=lambda scored: -scored.f1)


def f1(parameters: Parameters, examples: Sequence[Example]) -> float:
    """F1 at IoU 0.5 over all images, 0 where there is nothing; finds on specks count neither way."""
    right = true = counted = 0
    for example in examples:
        found = segment(example.image, parameters)
        matching = match(example.truth, found, min_dice=DICE_AT_IOU_50, ignored_regions=example.ignored)
        right += len(matching.truth)
        true += len(example.truth)
        counted += len(found) - len(matching.ignored)
    return float(f1_score(right, true, counted)) if true + counted else 0.0


def central_part(example: Example) -> Example:
    """The middle half of the rows and columns; particles that its border cuts are ignored."""
    height, width = example.image.shape
    top, left = height // 4, width // 4
    box = (left, top, left + width // 2, top + height // 2)
    inside, specks = example.truth.crop(box), example.ignored.crop(box)
    whole = inside.areas == example.truth.areas
    ignored = CroppedMasks.cat([specks[specks.areas > 0], inside[~whole & (inside.areas > 0)]])
    return Example(example.image[box[1] : box[3], box[0] : box[2]], inside[whole], ignored)
