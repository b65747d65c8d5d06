"""Outlines are matched with annotated particles: the particle of each outline, and its known truth."""

import numpy as np
import pytest

from scenes import disks, shifted
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import VISIBILITY_CLASSES
from semsize.visibility.truth import outline_truth

SHAPE = (80, 160)


def annotations(masks, **of_all):
    return [{"segmentation": rle, "iscrowd": 0, **of_all} for rle in masks.to_rles()]


@pytest.fixture
def three():
    return disks(SHAPE, [(40, 30), (40, 80), (40, 130)], [14, 16, 18])


def test_an_outline_is_the_particle_that_it_matches_whatever_the_order(three):
    truth = annotations(three)
    for particle, fraction in zip(truth, (0.2, 0.5, 1.0), strict=True):
        particle |= {"visible_fraction": fraction, "amodal_segmentation": particle["segmentation"], "truncated": False}
        particle |= {"ecd_nm": 100 * fraction, "feret_min_nm": 80.0, "feret_max_nm": 120.0}
    found = outline_truth(shifted(three[[2, 0]], 1, 0), truth, pixel_size_nm=2.0)
    np.testing.assert_array_equal(found.visible_fraction, [1.0, 0.2])
    assert [VISIBILITY_CLASSES[number] for number in found.visibility_class] == ["complete", "unusable"]
    np.testing.assert_array_equal(found.sizes_px, [[50, 40, 60], [10, 40, 60]])
    np.testing.assert_array_equal(found.whole.to_full(), three[[2, 0]].to_full())
    np.testing.assert_array_equal(found.visible.to_full(), three[[2, 0]].to_full())


def test_what_matches_nothing_is_no_particle_and_what_lies_in_an_ignored_region_is_not_known(three):
    truth = annotations(three[:1]) + annotations(three[1:2], iscrowd=1)
    truth[1]["iscrowd"] = 1
    found = outline_truth(three, truth)
    np.testing.assert_array_equal(found.is_particle, [1, np.nan, 0])
    assert (found.visibility_class == -1).all()
    assert np.isnan(found.visible_fraction).all()
    assert not found.whole_is_known.any()


def test_of_a_person_s_state_only_the_class_is_known(three):
    truth = annotations(three)
    for particle, state in zip(truth, ("isolated", "masked", None), strict=True):
        particle["state"] = state
    found = outline_truth(three, truth, pixel_size_nm=1.0)
    assert found.visibility_class.tolist() == [0, 1, -1]
    assert np.isnan(found.sizes_px).all()


def test_sizes_of_a_particle_that_the_frame_cuts_are_not_known(three):
    particle = annotations(three[:1])[0] | {"truncated": True, "visible_fraction": 1.0, "ecd_nm": 9.0}
    found = outline_truth(three[:1], [particle], pixel_size_nm=1.0)
    assert found.truncated[0]
    assert np.isnan(found.sizes_px).all()
    assert found.visible_fraction[0] == 1


def test_no_outlines_and_no_particles_give_an_empty_truth():
    nothing = CroppedMasks.empty(SHAPE)
    assert len(outline_truth(nothing, [])) == len(outline_truth(nothing, annotations(disks(SHAPE, [(9, 9)], [5])))) == 0


def test_indexing_keeps_all_fields_together(three):
    found = outline_truth(three, annotations(three[:2]))
    part = found[np.array([2, 0])]
    np.testing.assert_array_equal(part.is_particle, [0, 1])
    assert part.visible.areas.tolist() == [0, three.areas[0]]
