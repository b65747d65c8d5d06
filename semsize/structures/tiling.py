"""Divide images of any size into overlapping tiles, and merge the masks found in them, each particle once.

Neighbouring tiles share more than the largest particle, so that each particle is whole, and free of the tile's edges,
in at least one tile. A mask that touches an inner edge (one that is not the image's) is cut there and left out. So is a
piece of a particle that, as another tile shows, reaches the edge. Masks of several tiles that share enough pixels are
one particle; the mask that lies deepest inside its tile is kept.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps

FREE_PX = 1
"""Least distance between a whole particle and the inner edges of its tile."""

SAME_FRACTION = 0.5
"""Masks of two tiles are one particle if they share at least this fraction of the smaller mask."""


@dataclass(frozen=True)
class Tile:
    """A window of an image, half-open: rows `top` to `bottom`, columns `left` to `right`."""

    top: int
    left: int
    bottom: int
    right: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window's pixels (a view)."""
        return image[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True, eq=False)
class MergedTiles:
    """The K particles of an image that was searched in tiles."""

    masks: CroppedMasks  # in the whole image
    tile: np.ndarray  # (K,) number of the tile that shows it
    index: np.ndarray  # (K,) its number among the masks of that tile
    # masks cut by a tile's edge whose particle no tile shows whole: it is larger than the overlap, or only one of two
    # tiles found it
    left_out: CroppedMasks

    @classmethod
    def of_whole(cls, masks: CroppedMasks) -> Self:
        """Wrap the masks of an image that is a single tile."""
        return cls(masks, np.zeros(len(masks), np.int64), np.arange(len(masks)), CroppedMasks.empty(masks.image_shape))


def tile_grid(image_shape: tuple[int, int], size: int, overlap: int) -> list[Tile]:
    """Return tiles of one shape that cover an image, row by row: as few as `size` allows, then as small as possible.

    Args:
        image_shape: (H, W).
        size: longest side of a tile in pixels; an image side up to this length takes one tile.
        overlap: largest extent of a particle in pixels; neighbours share at least this and a free pixel on both sides.

    Raises:
        ValueError: the overlap is negative, or more than half of a tile is shared.

    >>> [(tile.left, tile.right) for tile in tile_grid((60, 156), 80, 10)]
    [(0, 60), (48, 108), (96, 156)]
    """
    check_tiles(size, overlap)
    shared = overlap + 2 * FREE_PX
    rows, columns = (_spans(length, size, shared) for length in image_shape)
    return [Tile(top, left, bottom, right) for (top, bottom), (left, right) in itertools.product(rows, columns)]


def check_tiles(size: int, overlap: int) -> None:
    """Check that tiles can have an overlap: at most half of a tile is shared, free pixels included.

    Raises:
        ValueError: they cannot; one line that says which sizes are possible.
    """
    shared = overlap + 2 * FREE_PX
    if overlap < 0 or size < 2 * shared:
        largest = size // 2 - 2 * FREE_PX
        cure = f"take an overlap of 0 to {largest} px" if largest >= 0 else "take larger tiles"
        more = f", or tiles of {2 * shared} px or more" if overlap >= 0 and largest >= 0 else ""
        raise ValueError(
            f"tiles of {size} px cannot share {overlap} px: the overlap must not be negative, and a tile at least "
            f"twice the sum of overlap and {2 * FREE_PX} px; {cure}{more}"
        )


def merge_tiles(tiles: Sequence[Tile], found: Sequence[CroppedMasks], image_shape: tuple[int, int]) -> MergedTiles:
    """Merge the masks found in tiles, each particle once and whole.

    Args:
        tiles: T windows of one image.
        found: T sets of masks, each in the coordinates of its tile.
        image_shape: (H, W) of the image.
    """
    placed = CroppedMasks.cat(
        [CroppedMasks.empty(image_shape)]
        + [masks.expand(image_shape, tile.top, tile.left) for tile, masks in zip(tiles, found, strict=True)]
    )
    counts = [len(masks) for masks in found]
    tile = np.repeat(np.arange(len(tiles)), counts)
    index = np.concatenate([np.zeros(0, np.int64), *map(np.arange, counts)])
    depth = _depths(placed, [tiles[number] for number in tile], image_shape)  # (N,) pixels to the nearest inner edge
    whole = (depth >= FREE_PX) & placed.sizes.all(axis=1)
    meeting = overlaps(placed, placed, least_cover=SAME_FRACTION)
    is_pair = tile[meeting.first] < tile[meeting.second]
    pairs = list(zip(meeting.first[is_pair].tolist(), meeting.second[is_pair].tolist(), strict=True))
    # If something hides a particle's middle, one piece of it may lie inside a tile whose edge cuts the particle: the
    # piece is not whole if another tile shows the particle reaching that edge
    both = np.array([*pairs, *(pair[::-1] for pair in pairs)], np.int64).reshape(-1, 2)
    piece, particle = both[whole[both[:, 1]]].T
    particle_depth = _depths(placed[particle], [tiles[number] for number in tile[piece]], image_shape)
    whole[piece[particle_depth < FREE_PX]] = False

    partner_of = [[] for _ in range(len(placed))]
    for a, b in pairs:
        partner_of[a].append(b)
        partner_of[b].append(a)
    kept = np.zeros(len(placed), bool)
    for number in np.argsort(-depth, kind="stable"):
        kept[number] = whole[number] and not kept[partner_of[number]].any()
    cut = np.flatnonzero(~whole & placed.sizes.all(axis=1))
    is_lost = np.array([not kept[partner_of[number]].any() for number in cut], bool)
    return MergedTiles(placed[kept], tile[kept], index[kept], placed[cut[is_lost]])


def _spans(length: int, size: int, shared: int) -> list[tuple[int, int]]:
    """(start, end) of evenly spaced tiles along one side of an image."""
    if length <= size:
        return [(0, length)]
    count = math.ceil((length - shared) / (size - shared))
    side = math.ceil((length + (count - 1) * shared) / count)
    starts = [(length - side) * number // (count - 1) for number in range(count)]
    return [(start, start + side) for start in starts]


def _depths(masks: CroppedMasks, tiles: Sequence[Tile], image_shape: tuple[int, int]) -> np.ndarray:
    """(N,) pixels between each mask and the nearest inner edge of its tile; infinite if the tile has none."""
    edges = np.array([(t.top, t.left, t.bottom, t.right) for t in tiles], np.float64).reshape(-1, 4)
    edges[:, :2][edges[:, :2] == 0] = -np.inf
    edges[:, 2:][edges[:, 2:] == image_shape] = np.inf
    before, after = masks.origins - edges[:, :2], edges[:, 2:] - (masks.origins + masks.sizes)
    return np.minimum(before, after).min(axis=1)
