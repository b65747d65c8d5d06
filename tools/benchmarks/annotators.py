"""Simulate people's annotations of particles with known outlines: shifted, with gaps, joined, left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from outline_offsets import smooth_distance
from semsize.metrology.comparison import ImageTruth
from semsize.structures.masks import CroppedMasks

MARGIN_PX = 10
NEAR_PX = 3
FAR_PX = 99.0
GAP_PX = 1.0  # a pixel this near to two outlines lies between touching particles
CORRELATION_PX = 4.0
"""Length of outline over which the correlation of an annotator's error falls to 1/e (docs/notebook/errors.md)."""


@dataclass(frozen=True)
class AnnotatorErrors:
    """Deviations of annotations from the particles; the defaults are exact annotations."""

    within_px: float = 0.0  # standard deviation of the error along an outline
    between_px: float = 0.0  # standard deviation of the shift of a whole outline, outwards or inwards
    inner: float = 1.0  # factor on both errors where another particle is within 3 px
    gaps: bool = False  # whether a pixel between touching particles belongs to neither
    missed: float = 0.0  # share of the particles that nobody annotated
    joined: float = 0.0  # share that is annotated as one with a neighbour
    divided: float = 0.0  # share that is annotated as two


@dataclass(frozen=True, eq=False)
class Scene:
    """An image's particles as smooth outlines; each list has an entry for each particle."""

    truth: ImageTruth  # the image's annotation
    places: list[tuple[slice, slice]]  # rows and columns that the distance covers
    distances: list[np.ndarray]  # `smooth_distance`, (h, w)
    near_others: list[np.ndarray]  # (h, w) bool: another particle is within 3 px


def annotated(scene: Scene, errors: AnnotatorErrors, rng: np.random.Generator) -> ImageTruth:
    """The image as an annotator with these errors draws it."""
    numbers = disputed(drawn(scene, errors, rng), len(scene.truth.masks), errors, rng)
    return annotation_of(scene.truth, with_gaps(numbers) if errors.gaps else numbers)


def exact(scene: Scene, *, gaps_filled: bool) -> CroppedMasks:
    """The exact particles; with `gaps_filled` the nearer particle gets the pixels of gaps between touching ones."""
    return CroppedMasks.from_label_image(_owners(scene, scene.distances, fill_gaps=gaps_filled))


def scene_of(truth: ImageTruth) -> Scene:
    """Return the smooth outlines of an annotated image."""
    places, distances, near = [], [], []
    for place, mask, others in windows_of(truth.masks):
        places.append(place)
        distances.append(smooth_distance(mask))
        near.append(ndimage.distance_transform_edt(~others) <= NEAR_PX if others.any() else others)
    return Scene(truth, places, distances, near)


def windows_of(masks: CroppedMasks) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
    """Yield each particle's window (up to `MARGIN_PX` around it), its pixels there, and those of other particles."""
    height, width = masks.image_shape
    numbers = labels_of(masks)
    for number, (crop, (row, column)) in enumerate(masks, start=1):
        top, left = max(row - MARGIN_PX, 0), max(column - MARGIN_PX, 0)
        bottom, right = min(row + crop.shape[0] + MARGIN_PX, height), min(column + crop.shape[1] + MARGIN_PX, width)
        place = slice(top, bottom), slice(left, right)
        yield place, numbers[place] == number, (numbers[place] > 0) & (numbers[place] != number)


def labels_of(masks: CroppedMasks) -> np.ndarray:
    """(H, W) numbers of the particles from 1; 0 elsewhere."""
    numbers = np.zeros(masks.image_shape, np.int64)
    for number, (crop, (row, column)) in enumerate(masks, start=1):
        numbers[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    return numbers


def drawn(scene: Scene, errors: AnnotatorErrors, rng: np.random.Generator) -> np.ndarray:
    """(H, W) numbers of the particles, outlines moved by these errors; a pixel inside two goes to the nearer one."""
    moved = []
    for distance, near in zip(scene.distances, scene.near_others, strict=True):
        error = rng.normal(0, errors.between_px) + errors.within_px * correlated_noise(distance.shape, rng)
        moved.append(distance - error * np.where(near, errors.inner, 1.0))
    return _owners(scene, moved, fill_gaps=False)


def correlated_noise(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Normal noise of standard deviation 1 with a correlation that falls to 1/e over `CORRELATION_PX`."""
    std = CORRELATION_PX / 2  # the correlation of white noise behind this filter is exp(-d² / (4 std²))
    return ndimage.gaussian_filter(rng.normal(size=shape), std, mode="wrap") * 2 * std * np.sqrt(np.pi)


def with_gaps(numbers: np.ndarray) -> np.ndarray:
    """The numbers without the pixels whose right or lower neighbour belongs to another particle."""
    cut = np.zeros(numbers.shape, bool)
    cut[:, :-1] |= (numbers[:, 1:] > 0) & (numbers[:, 1:] != numbers[:, :-1])
    cut[:-1] |= (numbers[1:] > 0) & (numbers[1:] != numbers[:-1])
    return np.where(cut, 0, numbers)


def disputed(numbers: np.ndarray, particles: int, errors: AnnotatorErrors, rng: np.random.Generator) -> np.ndarray:
    """Leave some particles out, join some with a neighbour within 3 px, divide some through their middle.

    Args:
        numbers: (H, W), 0 or a particle's number from 1.
        particles: number of particles; the second half of particle i becomes i + particles.
        errors: its shares are used; a particle is joined only with a neighbour that is not itself joined to another.
        rng: draws the particles.
    """
    result, hosts, guests = numbers.copy(), set(), set()
    present = np.unique(numbers[numbers > 0])
    limits = np.cumsum([errors.missed, errors.joined, errors.divided])
    fates = rng.random(len(present))
    for number, chance in zip(present[fates < limits[2]].tolist(), fates[fates < limits[2]].tolist(), strict=True):
        rows, columns = np.nonzero(numbers == number)
        if chance < limits[0]:
            result[rows, columns] = 0
        elif chance < limits[1]:
            neighbour = _neighbour(numbers, number, rows, columns)
            if neighbour and number not in hosts and neighbour not in guests:
                result[rows, columns] = neighbour
                hosts.add(neighbour)
                guests.add(number)
        else:
            direction = rng.uniform(0, np.pi)
            across = (rows - rows.mean()) * np.cos(direction) + (columns - columns.mean()) * np.sin(direction)
            result[rows[across > 0.5], columns[across > 0.5]] = number + particles
            result[rows[abs(across) <= 0.5], columns[abs(across) <= 0.5]] = 0
    return result


def annotation_of(truth: ImageTruth, numbers: np.ndarray) -> ImageTruth:
    """The image with these particles; a number beyond N is the second half of a particle, from `disputed`."""
    present = np.unique(numbers[numbers > 0])
    particle = (present - 1) % max(len(truth.masks), 1)
    return replace(
        truth,
        particle_ids=present,
        masks=CroppedMasks.from_label_image(numbers),
        states=tuple(truth.states[number] for number in particle),
        truncated=truth.truncated[particle],
    )


def _owners(scene: Scene, distances: Sequence[np.ndarray], *, fill_gaps: bool) -> np.ndarray:
    """(H, W) number of the outline that holds a pixel deepest, 0 outside; gaps lie within 1 px of two outlines."""
    shape = scene.truth.masks.image_shape
    first, second, owner = np.full(shape, FAR_PX), np.full(shape, FAR_PX), np.zeros(shape, np.int64)
    for number, (place, outline) in enumerate(zip(scene.places, distances, strict=True), start=1):
        nearer = outline < first[place]
        second[place] = np.where(nearer, first[place], np.minimum(second[place], outline))
        first[place] = np.where(nearer, outline, first[place])
        owner[place] = np.where(nearer, number, owner[place])
    inside = first < 0
    if fill_gaps:
        inside |= second < GAP_PX
    return np.where(inside, owner, 0)


def _neighbour(numbers: np.ndarray, number: int, rows: np.ndarray, columns: np.ndarray) -> int:
    """The particle with most pixels within 3 px of this one; 0 if there is none."""
    place = tuple(slice(max(axis.min() - NEAR_PX, 0), axis.max() + NEAR_PX + 1) for axis in (rows, columns))
    grown = ndimage.binary_dilation(numbers[place] == number, np.ones((3, 3), bool), NEAR_PX)
    beside = numbers[place][grown & (numbers[place] != number)]
    beside = beside[beside > 0]
    return int(np.bincount(beside).argmax()) if len(beside) else 0
