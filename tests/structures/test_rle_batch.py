"""Batch encoding gives pycocotools' own strings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from semsize.structures.rle import crop_to_rle
from semsize.structures.rle_batch import compress_counts, encode_crops
from semsize.structures.rle_decoding import parse_counts


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


def full_frames(crops, origins, image_shape):
    frames = np.zeros((len(crops), *image_shape), np.uint8)
    for frame, crop, (row, column) in zip(frames, crops, origins, strict=True):
        frame[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
    return frames


@settings(max_examples=400, deadline=None)
@given(crops_in_a_frame())
def test_equal_to_pycocotools_on_full_frames(case):
    crops, origins, image_shape = case
    expected = [coco_mask.encode(np.asfortranarray(frame)) for frame in full_frames(*case)]
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


def test_a_pixel_outside_the_frame_is_refused():
    for origin in ([-1, 0], [3, 0], [0, -1], [0, 3]):
        with pytest.raises(ValueError, match="mask 0 has pixels outside"):
            encode_crops(np.ones((1, 2, 2), np.bool_), np.array([origin]), (4, 4))


@given(st.lists(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=12), max_size=4))
def test_strings_decode_to_their_counts(lists_of_counts):
    """pycocotools' own compression of the same counts; the closing NUL of longer ones it writes beyond its buffer."""
    flat = np.array([count for counts in lists_of_counts for count in counts], np.int64)
    lengths = np.array([len(counts) for counts in lists_of_counts], np.int64)
    expected = [coco_mask.frPyObjects({"size": [1, 1], "counts": counts}, 1, 1)["counts"] for counts in lists_of_counts]
    assert compress_counts(flat, lengths) == [string.decode() for string in expected]


@given(st.lists(st.lists(st.integers(0, 2**29 - 1), min_size=1, max_size=12), min_size=1, max_size=4))
def test_longer_runs_come_back_and_pycocotools_reads_them(lists_of_counts):
    """It reads six characters of a count, 2**29 - 1 pixels, though it does not write them safely."""
    flat = np.array([count for counts in lists_of_counts for count in counts], np.int64)
    strings = compress_counts(flat, np.array([len(counts) for counts in lists_of_counts]))
    found, lengths = parse_counts(strings)
    assert (found.tolist(), lengths.tolist()) == (flat.tolist(), [len(counts) for counts in lists_of_counts])
    areas = coco_mask.area([{"size": [1, 1], "counts": string.encode()} for string in strings])
    assert areas.tolist() == [sum(counts[1::2]) % 2**32 for counts in lists_of_counts]  # its areas have 32 bits
