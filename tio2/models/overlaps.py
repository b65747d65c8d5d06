"""Masks of one image made disjoint: a pixel that several claim goes to the more probable particle."""

from collections.abc import Iterator

import numpy as np

from tio2.models.mask_pasting import ProbabilityCrops


def disjoint_crops(
    probabilities: ProbabilityCrops, scores: np.ndarray, threshold: float, image_shape: tuple[int, int]
) -> list[np.ndarray]:
    """Pixels that each of N masks keeps.

    A mask claims the pixels where its probability reaches the threshold. Of several claims the largest product of the
    particle's score and the mask's probability at the pixel wins, the probability that there is such a particle and
    that the pixel is part of it; of equals the first. Pixels that nobody claims stay free, and those that one mask
    claims are its own. Two arrays have the image's size, whatever N.

    Args:
        probabilities: N crops (h, w) of 0-1 within the frame, and where they lie.
        scores: (N,) 0 to 1.
        threshold: least probability of a particle's pixel.
        image_shape: (H, W).

    Returns:
        N arrays (h, w) bool, at the crops' origins.
    """
    best = np.full(image_shape, -1, np.float32)
    owner = np.full(image_shape, -1, np.int32)
    for number, window, crop in _windows(probabilities):
        claim = np.where(crop >= threshold, crop * np.float32(scores[number]), np.float32(-1))
        wins = claim > best[window]
        best[window][wins] = claim[wins]
        owner[window][wins] = number
    kept = [np.zeros(crop.shape, bool) for crop in probabilities.crops]
    for number, window, _ in _windows(probabilities):
        kept[number] = owner[window] == number
    return kept


def _windows(probabilities: ProbabilityCrops) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    for number, (crop, (row, column)) in enumerate(
        zip(probabilities.crops, probabilities.origins.tolist(), strict=True)
    ):
        yield number, (slice(row, row + crop.shape[0]), slice(column, column + crop.shape[1])), crop
