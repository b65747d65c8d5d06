"""ROI sets go to ImageJ, are corrected there, and come back."""

import zipfile

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.exchange import Account, ImageFolder, annotated_masks, read_imagej, roi_zip
from semsize.structures import STATES, CroppedMasks
from strategies import noise_stacks


def read_back(folder, shape, name="a.tif"):
    """The ROI set `a.zip` of the image `a.tif`, and what was odd in it."""
    account = Account()
    (image,) = read_imagej(folder, ImageFolder.of_files([folder / name]), account)
    return annotated_masks(image, shape, account), list(account.lines())


def many_particles(count, shape, seed=0):
    """Ellipses anywhere, overlapping and cut by the frame, every twentieth with holes and in pieces."""
    rng = np.random.default_rng(seed)
    sides = rng.integers(3, 24, (count, 2))
    rows, columns = (rng.integers(0, side, count) for side in shape)
    placed = []
    for number, (height, width) in enumerate(sides.tolist()):
        y, x = np.mgrid[:height, :width] + 0.5
        mask = (2 * y / height - 1) ** 2 + (2 * x / width - 1) ** 2 <= 1
        mask &= (number % 20 > 0) | (rng.random(mask.shape) < 0.7)
        placed.append((mask, (int(rows[number]), int(columns[number]))))
    masks = CroppedMasks.from_crops(placed, shape)
    return masks[masks.areas > 0]


def test_a_thousand_outlines_come_back_identical_with_their_states(tmp_path):
    masks = many_particles(1000, (768, 1024))
    states = [(*STATES, None, "ignore")[number % 7] for number in range(len(masks))]
    roi_zip(tmp_path / "a.zip", masks, states)
    found, odd = read_back(tmp_path, (768, 1024))
    assert not odd
    assert found.masks.to_rles() == masks.to_rles()
    assert found.states == tuple(state if state in STATES else None for state in states)
    np.testing.assert_array_equal(found.ignored, [state == "ignore" for state in states])


@settings(max_examples=40, deadline=None)
@given(noise_stacks(), st.data())
def test_masks_of_any_pixels_come_back_identical(tmp_path_factory, stack, data):
    stack = np.unique(stack, axis=0) if len(stack) else stack  # what is drawn twice is taken once
    masks = CroppedMasks.from_full(stack) if len(stack) else CroppedMasks.empty((5, 5))
    masks = masks[masks.areas > 0]
    states = data.draw(st.lists(st.sampled_from([*STATES, None]), min_size=len(masks), max_size=len(masks)))
    folder = tmp_path_factory.mktemp("rois")
    roi_zip(folder / "a_RoiSet.zip", masks, states)
    found, _ = read_back(folder, masks.image_shape)
    np.testing.assert_array_equal(found.masks.to_full(), masks.to_full())
    assert list(found.states) == states


def test_a_group_set_by_hand_wins_over_the_name(tmp_path):
    square = np.array([(2, 3), (8, 3), (8, 9), (2, 9)], np.float32)
    groups = (2, 6, 0, 7)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, group in enumerate(groups):
            roi = roifile.ImagejRoi.frompoints(square + number, name=f"masked-{number:04d}")
            roi.group = group
            archive.writestr(f"{number}.roi", roi.tobytes())
    found, _ = read_back(tmp_path, (20, 20))
    assert found.states == (STATES[1], None, "masked", "masked")
    assert found.ignored.tolist() == [False, True, False, False]


def test_what_was_moved_out_of_the_image_in_imagej_is_cut_or_left_out_and_named(tmp_path):
    masks = CroppedMasks.from_crops([(np.ones((4, 4)), (0, 0)), (np.ones((4, 4)), (6, 6))], (10, 10))
    roi_zip(tmp_path / "a.zip", masks, [None, "isolated"])
    found, odd = read_back(tmp_path, (8, 8))
    assert found.masks.areas.tolist() == [16, 4]
    assert odd == ["1 × annotations that leave their image, cut at its border: a.tif: isolated-0002"]
    found, odd = read_back(tmp_path, (5, 5))
    assert (len(found), found.names) == (1, ("particle-0001",))
    assert odd == ["1 × annotations left out, outside their image: a.tif: isolated-0002"]


def test_an_empty_set_is_a_set(tmp_path):
    roi_zip(tmp_path / "a.zip", CroppedMasks.empty((9, 9)), [])
    found, odd = read_back(tmp_path, (9, 9))
    assert (len(found), found.masks.image_shape, odd) == (0, (9, 9), [])


@pytest.mark.parametrize("state", [None, *STATES])
def test_groups_are_numbered_as_the_states(tmp_path, state):
    roi_zip(tmp_path / "a.zip", CroppedMasks.from_full(np.ones((1, 3, 3))), [state])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (name,) = archive.namelist()
        roi = roifile.ImagejRoi.frombytes(archive.read(name))
    assert roi.group == (STATES.index(state) + 1 if state else 0)
    assert roi.name == f"{state or 'particle'}-0001"
