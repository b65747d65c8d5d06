"""Which image is kept back in which fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def assign_folds(particles: Sequence[int], folds: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) fold, 0 to ``folds`` - 1, in which each image is kept back, stratified by its number of particles.

    Images are ranked by their number of particles, equal ones in random order; each run of ``folds`` ranks gives one
    image to every fold, at random. Thus folds differ by one image at most, and each has its share of crowded ones.

    Args:
        particles: of each of the N images.
        folds: how many, at least 2.
        rng: draws the order.

    Raises:
        ValueError: there are fewer than 2 folds, or fewer images than folds.
    """
    if not 2 <= folds <= len(particles):
        raise ValueError(f"{folds} folds of {len(particles)} images: take 2 folds at least, and as many images")
    ties = rng.permutation(len(particles))
    ranked = np.lexsort((ties, particles))  # image of each rank
    rounds = -(-len(particles) // folds)
    fold_of_rank = np.concatenate([rng.permutation(folds) for _ in range(rounds)])[: len(particles)]
    assigned = np.empty(len(particles), np.int64)
    assigned[ranked] = fold_of_rank
    return assigned
