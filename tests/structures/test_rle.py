"""Encoding and decoding a crop equals pycocotools' on the full frame, without a full frame."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from semsize.structures.polygons import ShapeError, polygons_to_rles
from semsize.structures.rle import crop_to_rle, rle_size, rle_to_crop
from semsize.structures.rle_decoding import parse_counts
from strategies import noise_stacks


def pycocotools_rle(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@given(noise_stacks())
def test_rle_is_pycocotools_own_string(stack):
    for mask in stack:
        assert crop_to_rle(mask, (0, 0), mask.shape) == pycocotools_rle(mask)


@given(noise_stacks(max_side=6), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_crop_anywhere_in_a_frame(stack, top, bottom, left, right):
    for crop in stack:
        full = np.pad(crop, ((top, bottom), (left, right)))
        assert crop_to_rle(crop, (top, left), full.shape) == pycocotools_rle(full)


@given(noise_stacks())
def test_decoding_gives_the_tight_crop_from_any_form_of_counts(stack):
    for mask in stack:
        rle = pycocotools_rle(mask)
        for counts in (rle["counts"], rle["counts"].encode(), parse_counts([rle["counts"]])[0].tolist()):
            crop, (row, column) = rle_to_crop({"size": rle["size"], "counts": counts})
            full = np.zeros_like(mask)
            full[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
            np.testing.assert_array_equal(full, mask)
            assert crop.dtype == np.uint8
            assert crop.size == 0 or (crop[[0, -1]].any(axis=1).all() and crop[:, [0, -1]].any(axis=0).all())


@given(st.lists(st.integers(1, 2**24 - 1), min_size=1, max_size=9))
def test_run_lengths_survive_compression(lengths):
    """Longer runs take six characters: pycocotools reserves six for each and writes its closing NUL behind them."""
    rle = coco_mask.frPyObjects({"size": [1, sum(lengths)], "counts": lengths}, 1, sum(lengths))
    assert parse_counts([rle["counts"]])[0].tolist() == lengths


def test_uncompressed_runs_of_no_length_are_passed_over():
    crop, origin = rle_to_crop({"size": [3, 2], "counts": [1, 1, 0, 1, 3]})
    assert crop.tolist() == [[1], [1]]
    assert origin == (1, 0)


def test_a_small_crop_in_a_huge_frame_costs_its_own_pixels():
    side = 30_000  # a full frame would be 900 MB
    crop = np.ones((30, 30), np.uint8)
    tracemalloc.start()
    rle = crop_to_rle(crop, (17_000, 29_970), (side, side))
    decoded, origin = rle_to_crop(rle)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
    assert origin == (17_000, 29_970)
    np.testing.assert_array_equal(decoded, crop)
    assert coco_mask.area(rle) == 900


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 9), st.integers(1, 9))
def test_a_rectangle_of_whole_pixels_has_its_sides_product_as_area(x, y, width, height):
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    crop, origin = rle_to_crop(polygons_to_rles([[corners]], (30, 30))[0])
    assert crop.shape == (height, width)
    assert crop.all()
    assert origin == (y, x)


def test_polygons_of_a_particle_are_united_and_cut_by_the_frame():
    left = [-5.0, 2, 3, 2, 3, 6, -5, 6]
    overlapping = [2.0, 2, 5, 2, 5, 6, 2, 6]
    crop, origin = rle_to_crop(polygons_to_rles([[left, overlapping]], (10, 12))[0])
    assert crop.shape == (4, 5)
    assert crop.all()
    assert origin == (2, 0)


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ([], "is empty"),
        ([[0, 0, 1, 1]], "fewer than three corners"),
        ([[0, 0, 4, 0, 4, 4, 0]], "odd number"),
        ([[[0, 0, 8, 0, 8, 8, 0, 8], [3, 3, 5, 3, 5, 5]]], "has holes"),
        ([[0, 0, 4, 0, 4, 1e6]], "far beyond its image"),
    ],
)
def test_what_is_no_polygon_is_refused(polygons, message):
    with pytest.raises(ValueError, match=message):
        polygons_to_rles([polygons], (10, 10))


RLES = {
    "no counts": ({"size": [2, 3]}, "neither a list of polygons nor an RLE"),
    "a list": ([2, 3], "neither a list of polygons nor an RLE"),
    "three sides": ({"size": [2, 3, 1], "counts": [6]}, "two whole numbers above 0"),
    "a side of 0": ({"size": [2, 0], "counts": []}, "two whole numbers above 0"),
    "a side as text": ({"size": [2, "3"], "counts": [6]}, "two whole numbers above 0"),
    "a side of true": ({"size": [6, True], "counts": [6]}, "two whole numbers above 0"),
    "sides of 4e9": ({"size": [4_000_000_000, 4_000_000_000], "counts": [16 * 10**18]}, "that of no image"),
    "counts too few": ({"size": [2, 3], "counts": [2, 3]}, "do not add up"),
    "counts below 0": ({"size": [2, 3], "counts": [8, -2]}, "whole numbers from 0"),
    "counts in parts": ({"size": [2, 3], "counts": [2.5, 3.5]}, "whole numbers from 0"),
    "counts as text": ({"size": [2, 3], "counts": ["2", "4"]}, "whole numbers from 0"),
    "endless counts": ({"size": [2, 3], "counts": [float("inf")]}, "whole numbers from 0"),
    "a count": ({"size": [2, 3], "counts": 6}, "neither text nor a list"),
}


@pytest.mark.parametrize("case", RLES)
def test_an_rle_from_a_file_is_checked_before_it_is_decoded(case):
    rle, message = RLES[case]
    with pytest.raises(ShapeError, match=message):
        rle_size(rle)
    assert rle_size({"size": [2, 3], "counts": [2, 4.0]}) == (2, 3)


def test_compressed_counts_that_run_over_64_bits_are_refused():
    with pytest.raises(ValueError, match="compressed form"):
        rle_to_crop({"size": [2, 3], "counts": "o" * 40 + "0"})
    with pytest.raises(ValueError, match="add up to"):
        rle_to_crop({"size": [2, 3], "counts": ("o" * 11 + "7") * 2})


def test_runs_that_do_not_fill_the_frame_are_refused():
    with pytest.raises(ValueError, match="add up to 5 pixels"):
        rle_to_crop({"size": [2, 3], "counts": [2, 3]})
    with pytest.raises(ValueError, match="add up to"):
        rle_to_crop({"size": [2, 3], "counts": [9, -3]})


@pytest.mark.parametrize("counts", ["", "\x1f", "P"])  # nothing, a character out of range, one that says more follows
def test_damaged_counts_are_refused(counts):
    with pytest.raises(ValueError, match="compressed form"):
        parse_counts([counts])


@pytest.mark.parametrize("origin", [(-1, 0), (0, -1), (3, 0), (0, 4)])
def test_a_crop_beyond_the_frame_is_refused(origin):
    with pytest.raises(ValueError, match="pixels outside"):
        crop_to_rle(np.ones((2, 2), np.uint8), origin, (4, 5))
