"""The truth of rendered scenes against full-frame masks and the states' definitions."""

import numpy as np
import pytest
from scipy import ndimage

from semsize.structures import check_annotations, dataset, image_entry
from semsize.synthesis.populations import Population
from semsize.synthesis.rendering import SPECK_PX, particle_entries, truth_of
from semsize.synthesis.scenes import PRESETS, build_scene


@pytest.fixture(scope="module", params=["scattered", "agglomerated", "matrix"])
def scene(request):
    return build_scene(PRESETS[request.param], Population(), (220, 300), 7.344, np.random.default_rng(8), particles=70)


@pytest.fixture(scope="module")
def truth(scene):
    return truth_of(scene)


def test_visible_and_hidden_make_the_full_outline(scene, truth):
    visible, full = truth.visible.to_full().astype(bool), truth.full.to_full().astype(bool)
    assert (visible.sum(axis=0) <= 1).all()
    assert not (visible & ~full).any()
    hidden = full & ~visible
    other_seen = (scene.buffer.ids > 0) & ~visible
    assert not (hidden & ~other_seen).any()
    np.testing.assert_allclose(truth.visible_fractions, visible.sum(axis=(1, 2)) / full.sum(axis=(1, 2)))


def test_every_pixel_that_shows_a_body_belongs_to_a_particle_or_to_the_matrix(scene, truth):
    matrix = np.concatenate([[False], scene.is_matrix])[scene.buffer.ids]
    covered = truth.visible.to_full().any(axis=0)
    np.testing.assert_array_equal(covered | matrix, scene.buffer.ids > 0)
    assert not (covered & matrix).any()


def test_listed_and_hidden_particles_are_all_that_reach_into_the_frame(scene, truth):
    height, width = scene.buffer.ids.shape
    reaching = 0
    for placed, matrix in zip(scene.placed, scene.is_matrix, strict=True):
        rows, columns = np.nonzero(placed.patch.inside)
        rows, columns = rows + placed.row + placed.patch.offset[0], columns + placed.column + placed.patch.offset[1]
        reaching += not matrix and bool(((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).any())
    assert len(truth.visible) + truth.hidden_particles == reaching


def test_states_are_those_that_the_definitions_give_on_full_frames(truth):
    visible, full = truth.visible.to_full().astype(bool), truth.full.to_full().astype(bool)
    shares = np.einsum("ihw,jhw->ij", visible.astype(np.int64), full.astype(np.int64)) / full.sum(axis=(1, 2))
    states = []
    for k, fraction in enumerate(truth.visible_fractions):
        distance = ndimage.distance_transform_edt(~visible[k])
        gaps = np.array([distance[other].min() for n, other in enumerate(visible) if n != k])
        bordering = np.insert(gaps, k, np.inf) <= 1
        touch = bordering & ((shares[k] >= 0.02) | ((shares[:, k] > 0) & (shares[:, k] <= 0.02)))
        if fraction < 0.98:
            states.append("masked" if fraction >= 0.4 else "unusable")
        elif (gaps > 3).all():
            states.append("isolated")
        else:
            states.append("touch_complete" if touch.any() else "complete")
    assert truth.states == states


def test_truncated_particles_are_those_whose_outline_leaves_the_frame(scene, truth):
    height, width = scene.buffer.ids.shape
    outside = {}
    for placed in scene.placed:
        rows, columns = np.nonzero(placed.patch.inside)
        rows, columns = rows + placed.row + placed.patch.offset[0], columns + placed.column + placed.patch.offset[1]
        outside[placed.particle.silhouette.ecd] = bool(
            ((rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)).any()
        )
    assert truth.truncated.tolist() == [outside[ecd] for ecd in truth.ecds_nm]


def test_sizes_agree_with_the_pixels_of_whole_particles(truth):
    whole = ~truth.truncated & (truth.full.areas > 150)
    measured = np.sqrt(4 * truth.full.areas[whole] / np.pi) * 7.344
    np.testing.assert_allclose(measured, truth.ecds_nm[whole], rtol=0.04)
    assert (truth.ferets_nm[:, 0] <= truth.ferets_nm[:, 1]).all()
    assert (truth.ferets_nm[:, 1] >= 0.999 * truth.ecds_nm).all()  # the isodiametric inequality


def test_records_pass_the_schema_and_small_parts_are_specks(truth):
    records = particle_entries(truth, image_id=5)
    image = image_entry(id=5, file_name="a.png", height=220, width=300, pixel_size_nm=7.344)
    check_annotations(dataset([image], records), "rendered")
    assert [r["iscrowd"] for r in records] == (truth.visible.areas < SPECK_PX).astype(int).tolist()
    assert [r["state"] for r in records] == truth.states
