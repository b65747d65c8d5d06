"""RLE of crops equals pycocotools' of the full frame, both ways, without a full frame."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from semsize.structures.masks import CroppedMasks
from semsize.structures.polygons import ShapeError
from semsize.structures.rle import decode_rles, encode_crops, parse_counts, polygons_to_rles, rle_size
from strategies import ellipse_stacks, noise_stacks


def crop_to_rle(crop, origin, image_shape):
    return encode_crops([crop], np.array(origin), image_shape)[0]


def rle_to_crop(rle):
    (crop,), (origin,) = decode_rles([rle])
    return crop, tuple(origin.tolist())


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
    "sides of 4e9": ({"size": [4_000_000_000, 4_000_000_000], "counts": [16 * 10**18]}, "larger than images can be"),
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


@pytest.mark.parametrize("origin", [(-1, 0), (0, -1), (3, 0), (0, 4)])
def test_a_crop_beyond_the_frame_is_refused(origin):
    with pytest.raises(ValueError, match="pixels outside"):
        crop_to_rle(np.ones((2, 2), np.uint8), origin, (4, 5))


@st.composite
def crops_in_a_frame(draw):
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    crop_height, crop_width = draw(st.integers(0, height)), draw(st.integers(0, width))
    count = draw(st.integers(0, 5))
    crops = draw(arrays(np.bool_, (count, crop_height, crop_width)))
    rows = st.integers(0, height - crop_height)
    columns = st.integers(0, width - crop_width)
    origins = draw(st.lists(st.tuples(rows, columns), min_size=count, max_size=count))
    return crops, np.array(origins, np.int64).reshape(-1, 2), (height, width)


@settings(max_examples=400, deadline=None)
@given(crops_in_a_frame())
def test_equal_to_pycocotools_on_full_frames(case):
    crops, origins, image_shape = case
    expected = [
        coco_mask.encode(np.asfortranarray(frame))
        for frame in CroppedMasks.from_crops(zip(crops, origins, strict=True), image_shape).to_full()
    ]
    found = encode_crops(crops, origins, image_shape)
    assert [rle["counts"] for rle in found] == [rle["counts"].decode() for rle in expected]
    assert [rle["size"] for rle in found] == [list(image_shape)] * len(crops)
    assert found == [crop_to_rle(crop, origin, image_shape) for crop, origin in zip(crops, origins, strict=True)]


def test_a_large_frame_and_the_padding_beyond_it():
    """Runs of millions of pixels take many groups of five bits; what lies beyond the frame is empty."""
    rng = np.random.default_rng(0)
    shape = (20_000, 30_000)
    crops = np.zeros((3, 40, 50), np.bool_)
    crops[:, :30, :20] = rng.random((3, 30, 20)) < 0.5
    origins = np.array([[0, 0], [19_970, 29_980], [10_000, 7]])
    expected = [crop_to_rle(crop[:30, :20], origin, shape) for crop, origin in zip(crops, origins, strict=True)]
    assert encode_crops(crops, origins, shape) == expected


def encoded(stack):
    """pycocotools' own RLE of each mask, counts as bytes."""
    return [coco_mask.encode(np.asfortranarray(mask)) for mask in stack]


@settings(max_examples=300, deadline=None)
@given(st.one_of(noise_stacks(max_masks=6), ellipse_stacks(max_masks=6)), st.data())
def test_masks_of_any_pixels_in_any_form_of_counts(stack, data):
    rles = encoded(stack)
    for rle in rles:
        form = data.draw(st.sampled_from(["bytes", "str", "list"]))
        if form != "bytes":
            rle["counts"] = rle["counts"].decode() if form == "str" else parse_counts([rle["counts"]])[0].tolist()
    crops, origins = decode_rles(rles)
    assert (len(crops), origins.shape, origins.dtype) == (len(stack), (len(stack), 2), np.int64)
    np.testing.assert_array_equal(CroppedMasks(tuple(crops), origins, stack.shape[1:]).to_full(), stack)
    for crop in crops:
        assert crop.dtype == np.uint8
        assert crop.flags.c_contiguous
        assert crop.flags.owndata
        assert crop.size == 0 or (crop[[0, -1]].any(axis=1).all() and crop[:, [0, -1]].any(axis=0).all())


@settings(max_examples=100, deadline=None)
@given(noise_stacks(max_masks=6))
def test_together_as_each_alone(stack):
    rles = encoded(stack)
    crops, origins = decode_rles(rles)
    for rle, crop, origin in zip(rles, crops, origins.tolist(), strict=True):
        alone, place = rle_to_crop(rle)
        np.testing.assert_array_equal(crop, alone)
        assert tuple(origin) == place


@given(st.lists(st.lists(st.integers(1, 2**24 - 1), min_size=1, max_size=9), min_size=1, max_size=5))
def test_run_lengths_survive_compression(masks):
    """Longer runs take six characters: pycocotools reserves six for each and writes its closing NUL behind them."""
    strings = [
        coco_mask.frPyObjects({"size": [1, sum(lengths)], "counts": lengths}, 1, sum(lengths))["counts"]
        for lengths in masks
    ]
    counts, per_mask = parse_counts(strings)
    assert counts.tolist() == [length for lengths in masks for length in lengths]
    assert per_mask.tolist() == [len(lengths) for lengths in masks]


def test_a_round_trip_of_thousands_in_a_large_frame_costs_their_own_pixels():
    rng = np.random.default_rng(0)
    shape = (20_000, 30_000)  # a full frame has 600 MB
    sides, count = rng.integers(1, 40, (3000, 2)), 3000
    crops = [np.pad(rng.random(side) < 0.6, 0) for side in sides]
    origins = np.stack([rng.integers(0, side - 40, count) for side in shape], axis=1)
    rles = encode_crops(crops, origins, shape)
    tracemalloc.start()
    decoded = CroppedMasks.from_rles(rles)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert decoded.to_rles() == rles


@pytest.mark.parametrize("counts", [[], [5], [4, 3], [2, -1, 5], [7]])
def test_runs_that_do_not_fill_the_frame_are_refused(counts):
    good = {"size": [2, 3], "counts": [1, 2, 3]}
    with pytest.raises(
        ValueError, match=rf"RLE runs add up to {sum(counts)} pixels, but its size 2 x 3 has 6"
    ) as error:
        decode_rles([good, {"size": [2, 3], "counts": counts}, good])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("counts", ["", b"", "P", "1!2", b"\x80", "\x1f"])
def test_what_is_no_compressed_form_is_refused(counts):
    good = encoded(np.ones((1, 2, 3), np.uint8))[0]["counts"]
    for position in range(3):
        strings = [good, good]
        strings.insert(position, counts)
        with pytest.raises(ValueError, match="not in COCO's compressed form"):
            parse_counts(strings)


def test_no_masks():
    crops, origins = decode_rles([])
    assert (crops, origins.shape) == ([], (0, 2))


def test_polygons_keep_the_order_of_the_particles():
    square, bar = [[0, 0, 2, 0, 2, 2, 0, 2]], [[4, 4, 9, 4, 9, 5, 4, 5]]
    masks = CroppedMasks.from_rles(polygons_to_rles([square, bar], (10, 12)))
    assert masks.boxes.tolist() == [[0, 0, 2, 2], [4, 4, 9, 5]]
    assert polygons_to_rles([], (10, 12)) == []
