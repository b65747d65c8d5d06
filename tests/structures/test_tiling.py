"""Tiles cover an image with the requested overlap; merging gives each particle once and whole."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scenes import disks
from semsize.structures.masks import CroppedMasks
from semsize.structures.tiling import Tile, merge_tiles, tile_grid


@st.composite
def grids(draw):
    overlap = draw(st.integers(0, 30))
    size = draw(st.integers(2 * overlap + 4, 120))
    return (draw(st.integers(1, 300)), draw(st.integers(1, 300))), size, overlap


@settings(max_examples=60, deadline=None)
@given(grids(), st.data())
def test_every_particle_up_to_the_overlap_is_whole_and_free_in_some_tile(grid, data):
    image_shape, size, overlap = grid
    tiles = tile_grid(*grid)
    extent = [data.draw(st.integers(1, max(1, min(overlap, length)))) for length in image_shape]
    first = [data.draw(st.integers(0, length - e)) for length, e in zip(image_shape, extent, strict=True)]
    assert len({(t.bottom - t.top, t.right - t.left) for t in tiles}) == 1
    assert all(max(t.bottom - t.top, t.right - t.left) <= size for t in tiles)
    if overlap == 0:
        return
    assert any(
        (t.top == 0 or t.top < first[0])
        and (t.left == 0 or t.left < first[1])
        and (t.bottom == image_shape[0] or t.bottom > first[0] + extent[0])
        and (t.right == image_shape[1] or t.right > first[1] + extent[1])
        for t in tiles
    )


@settings(max_examples=40, deadline=None)
@given(grids())
def test_tiles_cover_the_image_and_are_distinct(grid):
    image_shape, _, _ = grid
    covered = np.zeros(image_shape, bool)
    tiles = tile_grid(*grid)
    for tile in tiles:
        tile.cut(covered)[:] = True
    assert covered.all()
    assert len(set(tiles)) == len(tiles)


def test_no_more_tiles_than_the_overlap_needs_and_none_larger():
    assert tile_grid((100, 100), 100, 20) == [Tile(0, 0, 100, 100)]
    assert [(tile.left, tile.right) for tile in tile_grid((50, 178), 100, 20)] == [(0, 100), (78, 178)]
    assert [(tile.left, tile.right) for tile in tile_grid((50, 179), 100, 20)] == [(0, 75), (52, 127), (104, 179)]


@given(grids())
def test_neighbouring_tiles_share_the_overlap_and_less_than_a_pixel_a_tile_more(grid):
    (_, width), _, overlap = grid
    columns = sorted({(tile.left, tile.right) for tile in tile_grid(*grid)})
    shared = [end - start for (_, end), (start, _) in itertools.pairwise(columns)]
    assert min(shared, default=overlap + 2) >= overlap + 2
    assert sum(end - start for start, end in columns) < width + len(shared) * (overlap + 2) + len(columns)


@pytest.mark.parametrize(("size", "overlap"), [(100, -1), (43, 20), (3, 0)])
def test_an_overlap_that_tiles_cannot_have_is_refused(size, overlap):
    with pytest.raises(ValueError, match="overlap"):
        tile_grid((500, 500), size, overlap)


def seen_in(tile, masks):
    """What a perfect detector finds in a tile: the parts of the masks that it shows, edges included."""
    boxes = masks.boxes
    meets = (
        (boxes[:, 0] < tile.right) & (boxes[:, 2] > tile.left) & (boxes[:, 1] < tile.bottom) & (boxes[:, 3] > tile.top)
    )
    part = masks[meets].crop((tile.left, tile.top, tile.right, tile.bottom))
    return part[part.areas > 0]


def as_sets(masks):
    """Each mask as its run-length code, which tells shape and place."""
    return sorted(rle["counts"] for rle in masks.to_rles())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 30), st.integers(0, 60))
@example(132489, 26, 0)  # a particle in two pieces, of which a tile shows one
def test_a_perfect_detector_s_particles_come_back_each_once(seed, largest, spare):
    """Particles side by side, touching and hiding one another, some as large as the overlap, some cut by the image."""
    rng = np.random.default_rng(seed)
    shape = (150, 190)
    radii = rng.uniform(1, largest / 2, 40)
    radii[:3] = largest / 2
    truth = disks(shape, rng.uniform((0, 0), shape, (40, 2)), radii)
    labels = np.zeros(shape, np.int64)
    for number, (crop, (row, column)) in enumerate(truth, start=1):  # the later ones lie in front
        labels[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    truth = CroppedMasks.from_label_image(labels)
    tiles = tile_grid(shape, 2 * largest + 4 + spare, int(truth.sizes.max()))
    found = [seen_in(tile, truth) for tile in tiles]
    merged = merge_tiles(tiles, found, shape)
    assert as_sets(merged.masks) == as_sets(truth)
    assert len(merged.left_out) == 0
    for number, (tile, index) in enumerate(zip(merged.tile, merged.index, strict=True)):
        assert merged.masks.crops[number].tolist() == found[tile].crops[index].tolist()


def test_masks_that_two_tiles_draw_differently_are_one_particle():
    """One tile takes two particles for one; the tile that has one of them deeper inside is believed."""
    shape, tiles = (60, 100), [Tile(0, 0, 60, 60), Tile(0, 40, 60, 100)]
    pair = disks(shape, [(30, 46), (30, 54)], [4, 4])
    blob = CroppedMasks.from_full(pair.to_full().max(axis=0, keepdims=True))
    for found in ((pair, blob), (blob, pair)):
        merged = merge_tiles(tiles, [seen_in(tile, masks) for tile, masks in zip(tiles, found, strict=True)], shape)
        assert as_sets(merged.masks) == as_sets(pair)


def test_particles_larger_than_a_tile_are_left_out_and_counted():
    shape = (140, 300)
    truth = disks(shape, [(70, 150), (30, 20)], [60, 8])
    tiles = tile_grid(shape, 100, 20)
    merged = merge_tiles(tiles, [seen_in(tile, truth) for tile in tiles], shape)
    assert as_sets(merged.masks) == as_sets(truth[1])
    assert len(merged.left_out) > 0


def test_nothing_found():
    tiles = tile_grid((300, 300), 100, 20)
    nothing = [CroppedMasks.empty((tile.bottom - tile.top, tile.right - tile.left)) for tile in tiles]
    merged = merge_tiles(tiles, nothing, (300, 300))
    assert (len(merged.masks), len(merged.tile), len(merged.index), len(merged.left_out)) == (0, 0, 0, 0)
    assert merged.masks.image_shape == (300, 300)
