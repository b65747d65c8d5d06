"""Hypothesis strategies shared by the tests: masks of an image."""

import cv2
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays


@st.composite
def image_shapes(draw, max_side: int = 40) -> tuple[int, int]:
    """(H, W), each 1 or more."""
    return draw(st.integers(1, max_side)), draw(st.integers(1, max_side))


@st.composite
def noise_stacks(draw, max_masks: int = 4, max_side: int = 12) -> np.ndarray:
    """(N, H, W) uint8 0/1 of any pixels: empty, full, with holes, in pieces, cut by the frame."""
    shape = draw(image_shapes(max_side))
    count = draw(st.integers(0, max_masks))
    return draw(arrays.arrays(np.uint8, (count, *shape), elements=st.integers(0, 1), fill=st.sampled_from([0, 1])))


@st.composite
def ellipse_stacks(draw, max_masks: int = 4, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """(N, H, W) uint8 0/1 of ellipses like particles: small and large, cut by the frame or outside it."""
    height, width = shape
    stack = np.zeros((draw(st.integers(0, max_masks)), height, width), np.uint8)
    for mask in stack:
        centre = draw(st.integers(-5, width + 5)), draw(st.integers(-5, height + 5))
        axes = draw(st.integers(1, height // 3)), draw(st.integers(1, height // 3))
        cv2.ellipse(mask, centre, axes, draw(st.integers(0, 179)), 0, 360, 1, -1)
    return stack


def indices(length: int) -> st.SearchStrategy:
    """Any selection from ``length`` masks: slices, boolean arrays, integers, arrays of integers; also an empty one."""
    choices = [
        st.slices(length),
        arrays.arrays(bool, length),
        st.just([]),
        st.just(np.zeros(0, np.int64)),
    ]
    if length:
        integers = st.integers(-length, length - 1)
        choices += [
            integers,
            st.lists(integers),
            arrays.arrays(np.int64, st.integers(0, 2 * length), elements=integers),
        ]
    return st.one_of(choices)
