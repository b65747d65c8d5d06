"""A search over parameter sets for the best F1 at IoU 0.5: all sets on parts of images, then the best on all images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.metrology.matching import match
from semsize.structures.masks import CroppedMasks
from tio2.baselines.watershed import Parameters, segment

DICE_AT_IOU_50 = 2 / 3


@dataclass(frozen=True, eq=False)
class Example:
    """An image with its particles.

    Attributes:
        image: (H, W) grey levels.
        truth: particles.
        ignored: specks.
    """

    image: np.ndarray
    truth: CroppedMasks
    ignored: CroppedMasks


@dataclass(frozen=True)
class ScoredSet:
    """A parameter set and its F1 at IoU 0.5, pooled over the images."""

    parameters: Parameters
    f1: float


def search(
    sets: Sequence[Parameters],
    examples: Sequence[Example],
    finalists: int,
    progress: Callable[[Sequence], Sequence] = lambda items: items,
) -> tuple[list[ScoredSet], list[ScoredSet]]:
    """Scores all sets on the central quarter of every other image, then the best ``finalists`` on whole images.

    Returns:
        Both rounds, each with the best first.
    """
    parts = [central_part(example) for example in examples[::2]]
    first = _ranked([ScoredSet(one, f1(one, parts)) for one in progress(sets)])
    second = _ranked([ScoredSet(one.parameters, f1(one.parameters, examples)) for one in progress(first[:finalists])])
    return first, second


def f1(parameters: Parameters, examples: Sequence[Example]) -> float:
    """2·right / (true + found), at IoU 0.5, over all images; finds on specks count neither way."""
    right = counted = 0
    for example in examples:
        found = segment(example.image, parameters)
        matching = match(example.truth, found, min_dice=DICE_AT_IOU_50, ignored_regions=example.ignored)
        right += len(matching.truth)
        counted += len(example.truth) + len(found) - len(matching.ignored)
    return 2 * right / counted if counted else 0.0


def central_part(example: Example) -> Example:
    """The middle half of the rows and columns; particles that its border cuts are ignored."""
    height, width = example.image.shape
    top, left = height // 4, width // 4
    box = (left, top, left + width // 2, top + height // 2)
    inside = example.truth.crop(box)
    whole = inside.areas == example.truth.areas
    cut = inside[~whole & (inside.areas > 0)]
    specks = example.ignored.crop(box)
    return Example(
        image=example.image[box[1] : box[3], box[0] : box[2]],
        truth=inside[whole],
        ignored=CroppedMasks.cat([specks[specks.areas > 0], cut]),
    )


def _ranked(scored: list[ScoredSet]) -> list[ScoredSet]:
    return sorted(scored, key=lambda one: -one.f1)
