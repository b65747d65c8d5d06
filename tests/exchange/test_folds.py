"""Folds divide the images evenly, also crowded ones, and in the same way for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.exchange.writing import assign_folds


@given(st.lists(st.integers(0, 500), min_size=2, max_size=40), st.data())
def test_each_run_of_ranks_gives_one_image_to_every_fold(particles, data):
    folds = data.draw(st.integers(2, len(particles)))
    assigned = assign_folds(particles, folds, np.random.default_rng(data.draw(st.integers(0, 99))))
    sizes = np.bincount(assigned, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    # the k-th smallest image of any fold is no larger than the (k+1)-th smallest of any other
    of_fold = [sorted(np.array(particles)[assigned == fold]) for fold in range(folds)]
    for one in of_fold:
        for other in of_fold:
            assert all(small <= large for small, large in zip(one, other[1:], strict=False))


def test_the_seed_decides_and_nothing_else():
    particles = [119, 24, 116, 36, 49, 16, 195, 150, 89, 97, 37, 56]
    one, same, other = (assign_folds(particles, 4, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one.tolist() == same.tolist() != other.tolist()


def test_equal_images_are_shared_out_at_random():
    drawn = {tuple(assign_folds([7, 7, 7, 7], 2, np.random.default_rng(seed))) for seed in range(40)}
    assert len(drawn) == 6  # every way to halve four


@pytest.mark.parametrize(("images", "folds"), [(3, 4), (3, 1), (0, 2)])
def test_too_few_images_or_folds_are_one_line(images, folds):
    with pytest.raises(ValueError, match=f"{folds} folds of {images} images"):
        assign_folds([1] * images, folds, np.random.default_rng(0))
