"""Segmentation as a laboratory does it without a network, and the search for its best parameters.

Segmentation: denoise, threshold, distance transform, h-maxima, watershed. The search is for the best F1 at IoU 0.5: all
parameter sets on parts of images, then the best sets on whole images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from scipy.special import logsumexp
from skimage.filters import threshold_li, threshold_otsu, threshold_triangle
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from semsize.metrology.comparison import image_truths
from semsize.metrology.matching import DICE_AT_IOU_50, f1_score, match
from semsize.sem.reading import read_grey
from semsize.structures import read_annotations
from semsize.structures.files import read_json, write_json
from semsize.structures.masks import CroppedMasks

CLUSTERS = 3  # background, dim and bright pixels; the brightest class or the two brighter ones are foreground
MOST_STEPS = 200
GREY_LEVELS = np.arange(256)
BAND_PX = 2  # width of the bands inside and outside an outline between which the contrast is taken


def local_mean(image: np.ndarray, offset_std: float, share: float) -> np.ndarray:
    """Mark pixels brighter than the mean around them by ``offset_std`` standard deviations of the image.

    Args:
        image: (H, W) float32.
        offset_std: in standard deviations of the whole image.
        share: standard deviation of the Gaussian window as a share of the shorter side.
    """
    around = cv2.GaussianBlur(image, (0, 0), share * min(image.shape))
    return image > around + offset_std * image.std()


def kmeans_limits(image: np.ndarray) -> np.ndarray:
    """Return (CLUSTERS - 1,) ascending grey levels between k-means classes, by Lloyd's iteration on the histogram."""
    counts = _histogram(image)
    centres = _starting_centres(counts)
    for _ in range(MOST_STEPS):
        limits = (centres[1:] + centres[:-1]) / 2
        member = np.searchsorted(limits, GREY_LEVELS)
        weight = np.bincount(member, counts, CLUSTERS)
        totals = np.bincount(member, counts * GREY_LEVELS, CLUSTERS)
        moved = np.where(weight > 0, totals / np.maximum(weight, 1), centres)
        if np.allclose(moved, centres, atol=1e-3):
            break
        centres = moved
    return (centres[1:] + centres[:-1]) / 2


def gmm_limits(image: np.ndarray) -> np.ndarray:
    """Return (CLUSTERS - 1,) ascending grey levels where the likelier class of a Gaussian mixture changes, by EM.

    Neighbouring classes are compared between their means only: beyond, a wide class can become the likelier again.
    """
    counts = _histogram(image)
    means = _starting_centres(counts)
    stds = np.full(CLUSTERS, max(image.std() / CLUSTERS, 1.0))
    shares = np.full(CLUSTERS, 1 / CLUSTERS)
    for _ in range(MOST_STEPS):
        log_parts = _log_parts(means, stds, shares)  # (256, CLUSTERS)
        belongs = np.exp(log_parts - logsumexp(log_parts, axis=1, keepdims=True)) * counts[:, None]
        weight = belongs.sum(axis=0) + 1e-9
        moved = (belongs * GREY_LEVELS[:, None]).sum(axis=0) / weight
        stds = np.sqrt((belongs * (GREY_LEVELS[:, None] - moved) ** 2).sum(axis=0) / weight + 1.0)
        shares = weight / weight.sum()
        if np.allclose(moved, means, atol=1e-2):
            break
        means = moved
    order = np.argsort(means)
    log_parts, means = _log_parts(means, stds, shares)[:, order], means[order]
    limits = []
    for upper in range(1, CLUSTERS):
        between = (means[upper - 1] <= GREY_LEVELS) & (means[upper] >= GREY_LEVELS)
        upper_wins = between & (log_parts[:, upper] > log_parts[:, upper - 1])
        limits.append(GREY_LEVELS[upper_wins][0] - 0.5 if upper_wins.any() else means[upper])
    return np.array(limits, np.float64)


GREY_THRESHOLDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "otsu": lambda image: image > threshold_otsu(image),
    "li": lambda image: image > threshold_li(image),
    "triangle": lambda image: image > threshold_triangle(image),
    "local -0.1": lambda image: local_mean(image, -0.1, 0.05),
    "local 0": lambda image: local_mean(image, 0.0, 0.05),
    "local 0.2": lambda image: local_mean(image, 0.2, 0.05),
    "local, narrow": lambda image: local_mean(image, 0.1, 0.02),
    "otsu and local, narrow": lambda image: (image > threshold_otsu(image)) & local_mean(image, -0.1, 0.02),
    "kmeans, brightest": lambda image: image > kmeans_limits(image)[-1],
    "kmeans, two brighter": lambda image: image > kmeans_limits(image)[0],
    "gmm, brightest": lambda image: image > gmm_limits(image)[-1],
    "gmm, two brighter": lambda image: image > gmm_limits(image)[0],
    "kmeans, two brighter, and local": lambda image: (image > kmeans_limits(image)[0]) & local_mean(image, -0.1, 0.02),
    "gmm, two brighter, and local": lambda image: (image > gmm_limits(image)[0]) & local_mean(image, -0.1, 0.02),
}
"""Name to a function from (H, W) float32 grey levels to (H, W) bool."""


def _histogram(image: np.ndarray) -> np.ndarray:
    return np.bincount(np.clip(np.rint(image), 0, 255).astype(np.int64).ravel(), minlength=256).astype(np.float64)


def _starting_centres(counts: np.ndarray) -> np.ndarray:
    """Return the median grey levels of `CLUSTERS` equal shares of the pixels, made distinct by tiny offsets."""
    cumulated = np.cumsum(counts) / counts.sum()
    middles = np.searchsorted(cumulated, (np.arange(CLUSTERS) + 0.5) / CLUSTERS)
    return middles + np.arange(CLUSTERS) * 1e-3


def _log_parts(means: np.ndarray, stds: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return (256, CLUSTERS) logarithms of share · normal density, without the common constant."""
    return np.log(shares) - np.log(stds) - ((GREY_LEVELS[:, None] - means) / stds) ** 2 / 2


@dataclass(frozen=True)
class Parameters:
    """The parameters that the search varies."""

    blur_px: float  # standard deviation of the Gaussian that removes noise; 0 for none
    threshold: str  # a name of `GREY_THRESHOLDS`
    opening_px: int  # radius of the opening that cuts thin bridges; 0 for none
    smoothing_px: float  # standard deviation of the Gaussian over the distances; 0 for none
    h_px: float  # distance maxima that rise by less than this over the saddle join a higher one
    min_area_px: int  # smaller particles are left out


def segment(image: np.ndarray, parameters: Parameters) -> CroppedMasks:
    """Return the particles, brighter than their background, of an image (H, W) of grey levels."""
    image = np.asarray(image, np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), parameters.blur_px) if parameters.blur_px else image
    foreground = ndimage.binary_fill_holes(GREY_THRESHOLDS[parameters.threshold](blurred)).astype(np.uint8)
    if parameters.opening_px:
        side = 2 * parameters.opening_px + 1
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        foreground = cv2.morphologyEx(foreground, cv2.MORPH_OPEN, disk)
    distance = cv2.distanceTransform(np.pad(foreground, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if parameters.smoothing_px:
        distance = cv2.GaussianBlur(distance, (0, 0), parameters.smoothing_px) * foreground
    markers = ndimage.label(_maxima(distance, parameters.h_px), np.ones((3, 3)))[0]
    labels = watershed(-distance, markers, mask=foreground > 0)
    masks = CroppedMasks.from_label_image(labels)
    return masks[masks.areas >= parameters.min_area_px]


def contrast_scores(image: np.ndarray, masks: CroppedMasks) -> np.ndarray:
    """Return (N,) contrasts, 0 to 1: mean grey level inside less outside an outline, in bands of 2 px, over 255.

    Average precision ranks the particles by this score; the outer band may lie on a neighbour.
    """
    return np.array([_contrast(image, crop, origin) for crop, origin in masks], np.float64).reshape(-1)


def _maxima(distance: np.ndarray, h_px: float) -> np.ndarray:
    """Mark, (H, W) bool, regional maxima that rise by at least ``h_px`` over the saddle to a higher one."""
    lowered = reconstruction(distance - max(h_px, 1e-3), distance, method="dilation")
    peaks = distance - lowered
    return (distance > 0) & (peaks >= max(h_px, 1e-3) - 1e-4)  # 1e-4: rounding of float32


def _contrast(image: np.ndarray, crop: np.ndarray, origin: tuple[int, int]) -> float:
    row, column = origin
    top, left = max(row - BAND_PX, 0), max(column - BAND_PX, 0)
    window = image[top : row + crop.shape[0] + BAND_PX, left : column + crop.shape[1] + BAND_PX]
    mask = np.zeros(window.shape, np.uint8)
    mask[row - top : row - top + crop.shape[0], column - left : column - left + crop.shape[1]] = crop
    kernel = np.ones((2 * BAND_PX + 1, 2 * BAND_PX + 1), np.uint8)
    inner = (mask > 0) & (cv2.erode(mask, kernel, borderValue=0) == 0)
    outer = (mask == 0) & (cv2.dilate(mask, kernel) > 0)
    if not outer.any():
        return 0.0
    return float(np.clip((window[inner].mean() - window[outer].mean()) / 255, 0, 1))


class SearchError(ValueError):
    """A search.json that cannot be read."""


@dataclass(frozen=True, eq=False)
class Example:
    """An image, (H, W) grey levels, with its particles, and specks that are neither right nor wrong to find."""

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
    """The set with the highest F1 on whole training images, the number of sets tried, and the time taken."""

    parameters: Parameters
    f1: float
    sets: int
    seconds: float


def run_search(
    data: Path, sets: Sequence[Parameters], finalists: int, path: Path, progress: Callable[[Sequence], Iterable]
) -> None:
    """Search on the training images of ``data`` and write both rounds, best first, to ``path``."""
    began = time.monotonic()
    truths = image_truths(read_annotations(data / "annotations" / "train.json"))
    images = data / "images" / "train"
    examples = [Example(read_grey(images / truth.file_name), truth.masks, truth.ignored) for truth in truths]
    first, second = search(sets, examples, finalists, progress)
    rounds = {"first": [asdict(scored) for scored in first], "second": [asdict(scored) for scored in second]}
    write_json(path, {"seconds": time.monotonic() - began, **rounds})


def read_search(path: Path) -> SearchResult:
    """Read the file that `run_search` wrote.

    Raises:
        SearchError: the file is missing or holds something else.
    """
    rounds = read_json(path, SearchError)
    try:
        best = rounds["second"][0]
        return SearchResult(Parameters(**best["parameters"]), best["f1"], len(rounds["first"]), rounds["seconds"])
    except (IndexError, KeyError, TypeError) as cause:
        raise SearchError(f"{path}: no result of a search ({cause!r}); search again") from None


def search(
    sets: Sequence[Parameters], examples: Sequence[Example], finalists: int, progress: Callable[[Sequence], Iterable]
) -> tuple[list[ScoredSet], list[ScoredSet]]:
    """Score all sets on the central quarter of every other image, then the best ``finalists`` on whole images.

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
    """Return F1 at IoU 0.5 over all images, 0 without particles; detections on specks do not count."""
    right = true = counted = 0
    for example in examples:
        found = segment(example.image, parameters)
        matching = match(example.truth, found, min_dice=DICE_AT_IOU_50, ignored_regions=example.ignored)
        right += len(matching.truth)
        true += len(example.truth)
        counted += len(found) - len(matching.ignored)
    return float(f1_score(right, true, counted)) if true + counted else 0.0


def central_part(example: Example) -> Example:
    """Cut out the middle half of the rows and columns; particles that its border cuts are ignored."""
    height, width = example.image.shape
    top, left = height // 4, width // 4
    box = (left, top, left + width // 2, top + height // 2)
    inside, specks = example.truth.crop(box), example.ignored.crop(box)
    whole = inside.areas == example.truth.areas
    ignored = CroppedMasks.cat([specks[specks.areas > 0], inside[~whole & (inside.areas > 0)]])
    return Example(example.image[box[1] : box[3], box[0] : box[2]], inside[whole], ignored)
