"""Agglomerates of a library put into the free space of an image: the one step behind a simulated image and a paste."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semsize.structures.masks import CroppedMasks
from tio2.agglomerates.agglomerate import FLIPS, Agglomerate
from tio2.agglomerates.compositing import Cutout, Seam, composite, cut_out
from tio2.agglomerates.library import AgglomerateLibrary
from tio2.agglomerates.placement import Box, FreeSpace


@dataclass(frozen=True)
class PasteSettings:
    """What decides a paste besides the random numbers."""

    count_range: tuple[int, int] = (10, 160)  # agglomerates an image, any number as likely; fewer where none fits
    tries: int = 20  # failures in a row after which nothing is taken to fit any more
    angle_range: tuple[float, float] = (0.0, 360.0)  # degrees
    seam: Seam = field(default_factory=Seam)

    def __post_init__(self):
        low, high = self.count_range
        if not (0 <= low <= high and self.tries >= 1):
            raise ValueError(
                f"paste: count_range must be 0 <= low <= high and tries 1 or more, got {self.count_range}, {self.tries}"
            )


@dataclass(frozen=True, eq=False)
class Placement:
    """An agglomerate in its place."""

    number: int  # in the library
    angle: float  # degrees clockwise, after mirroring
    flip: str | None
    agglomerate: Agglomerate  # turned
    cutout: Cutout
    corner: tuple[int, int]  # (row, column) of the cut-out's first pixel in the frame

    @property
    def box(self) -> Box:
        """What the cut-out with its seam occupies of the frame."""
        (row, column), (height, width) = self.corner, self.cutout.region.shape
        return row, column, row + height, column + width

    def masks_in(self, shape: tuple[int, int]) -> CroppedMasks:
        """The agglomerate's masks in a frame of (H, W)."""
        masks = self.agglomerate.masks
        return CroppedMasks(masks.crops, masks.origins + self.corner - self.cutout.origin, shape)


@dataclass(frozen=True, eq=False)
class Pasted:
    """An image with agglomerates put into it; masks and annotations are those of the new particles alone."""

    image: np.ndarray  # of the background's shape and type
    masks: CroppedMasks
    particles: tuple[Mapping[str, Any], ...]
    placements: tuple[Placement, ...]
    failures: int  # agglomerates drawn for which there was no room

    def record(self) -> list[dict[str, Any]]:
        """The placements for a manifest."""
        return [{"agglomerate": p.number, "flip": p.flip, "angle": p.angle, "box": p.box} for p in self.placements]


def paste_agglomerates(
    background: np.ndarray,
    library: AgglomerateLibrary,
    rng: np.random.Generator,
    settings: PasteSettings,
    occupied: Iterable[Box] = (),
) -> Pasted:
    """Puts randomly chosen, mirrored and turned agglomerates where there is room.

    Args:
        background: (H, W) or (H, W, 3), float32 or uint8, 0-255; left as it is.
        library: to choose from.
        rng: draws everything.
        settings: how many, how turned, how joined.
        occupied: boxes where nothing may be put.

    Returns:
        The new image and its new particles. It may have none: then nothing fitted, and `failures` says how often.
    """
    shape = background.shape[:2]
    space = FreeSpace.of_frame(shape)
    for box in occupied:
        space = space.without(box)
    placements, failures = place(library, space, rng, settings)
    image = composite(background, ((p.cutout, p.corner) for p in placements), settings.seam)
    masks = CroppedMasks.cat([CroppedMasks.empty(shape), *(p.masks_in(shape) for p in placements)])
    particles = tuple(particle for p in placements for particle in p.agglomerate.particles)
    return Pasted(image, masks, particles, tuple(placements), failures)


def place(
    library: AgglomerateLibrary, space: FreeSpace, rng: np.random.Generator, settings: PasteSettings
) -> tuple[list[Placement], int]:
    """Placements in disjoint boxes inside the free space, and the number of agglomerates that found no room."""
    wanted = int(rng.integers(settings.count_range[0], settings.count_range[1] + 1))
    placements: list[Placement] = []
    failures = in_a_row = 0
    while len(placements) < wanted and in_a_row < settings.tries:
        placement = _try_one(library, space, rng, settings)
        if placement is None:
            failures, in_a_row = failures + 1, in_a_row + 1
        else:
            placements.append(placement)
            space, in_a_row = space.without(placement.box), 0
    return placements, failures


def _try_one(
    library: AgglomerateLibrary, space: FreeSpace, rng: np.random.Generator, settings: PasteSettings
) -> Placement | None:
    number = int(rng.integers(len(library)))
    flip = FLIPS[rng.integers(len(FLIPS))]
    angle = float(rng.uniform(*settings.angle_range))
    agglomerate = library[number].turned(angle, flip)
    cutout = cut_out(agglomerate, settings.seam)
    corner = space.draw_corner(cutout.region.shape, rng)
    return None if corner is None else Placement(number, angle, flip, agglomerate, cutout, corner)
