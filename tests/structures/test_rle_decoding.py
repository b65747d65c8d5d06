"""Decoding many RLEs at once gives pycocotools' masks, each as its tight crop."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from semsize.structures.masks import CroppedMasks
from semsize.structures.rle import rle_to_crop
from semsize.structures.rle_batch import encode_crops
from semsize.structures.rle_decoding import decode_rles, parse_counts
from strategies import ellipse_stacks, noise_stacks


def encoded(stack):
    """pycocotools' own RLE of each mask, counts as bytes."""
    return [coco_mask.encode(np.asfortranarray(mask)) for mask in stack]


def full_frames(crops, origins, shape):
    return CroppedMasks(tuple(crops), origins, shape).to_full()


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
    np.testing.assert_array_equal(full_frames(crops, origins, stack.shape[1:]), stack)
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


@pytest.mark.parametrize("counts", ["", b"", "P", "1!2", b"\x80"])
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
