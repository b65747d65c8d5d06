"""Measurands against closed forms, against scikit-image, and against themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops
from skimage.morphology import convex_hull_image

from scenes import disks
from semsize.metrology import equivalent_circular_diameter, measure
from semsize.metrology.measurands import centroids_px
from semsize.structures import CroppedMasks, PixelSize
from strategies import ellipse_stacks, noise_stacks


def centred_disks(*radii):
    return disks((200, 200), [(100, 100)] * len(radii), radii)


@given(st.floats(0.1, 1e4))
def test_ecd_of_a_circle_is_its_diameter(diameter):
    assert equivalent_circular_diameter(np.pi * diameter**2 / 4) == pytest.approx(diameter)


@given(st.floats(1, 1e6), st.floats(0.1, 100))
def test_ecd_scales_with_length(area, factor):
    scaled = equivalent_circular_diameter(area * factor**2)
    assert scaled == pytest.approx(factor * equivalent_circular_diameter(area))


def test_rasterised_disks_have_their_diameters():
    radii = np.array([10.0, 31.4, 80.0])
    np.testing.assert_allclose(measure(centred_disks(*radii)).ecd_px, 2 * radii, rtol=3e-3)


def test_nanometres_come_through_the_pixel_size():
    masks = centred_disks(20, 50)
    sizes = measure(masks, PixelSize(7.344))
    np.testing.assert_array_equal(sizes.area_px, masks.areas)
    np.testing.assert_allclose(sizes.ecd_nm, sizes.ecd_px * 7.344)
    np.testing.assert_allclose(sizes.area_nm2, np.pi * sizes.ecd_nm**2 / 4)


def test_what_cannot_be_measured_is_nan():
    full = np.zeros((2, 5, 5), np.uint8)
    full[1] = 1
    sizes = measure(CroppedMasks.from_full(full))
    np.testing.assert_array_equal(sizes.area_px, [0, 25])
    np.testing.assert_array_equal(np.isnan(sizes.ecd_px), [True, False])
    assert np.isnan([sizes.area_nm2, sizes.ecd_nm]).all()


def test_no_particles():
    assert measure(CroppedMasks.empty((5, 5)), PixelSize(1.0)).ecd_nm.shape == (0,)


def shape_mask(kind, length, ratio, angle, phase):
    """(H, W) bool: pixels whose centres lie in an ellipse or rectangle of this length, turned and shifted."""
    side = int(np.hypot(length, length * ratio)) + 6
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2 - np.asarray(phase)[:, None, None]
    u = (columns * np.cos(angle) + rows * np.sin(angle)) / (length / 2)
    v = (rows * np.cos(angle) - columns * np.sin(angle)) / (length * ratio / 2)
    return np.maximum(abs(u), abs(v)) <= 1 if kind == "rectangle" else u**2 + v**2 <= 1


def measured(kind, length, ratio, angle, phases):
    masks = [CroppedMasks.from_full(shape_mask(kind, length, ratio, angle, phase)[None]) for phase in phases]
    frame = (300, 300)
    return measure(CroppedMasks.cat([one.expand(frame, 0, 0) for one in masks]))


PHASES = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 2))
LENGTHS = (10, 17, 31, 62, 100)


@pytest.mark.parametrize(
    ("kind", "ratio"), [("ellipse", 1.0), ("ellipse", 0.6), ("rectangle", 1.0), ("rectangle", 0.6), ("rectangle", 0.4)]
)
def test_feret_diameters_of_shapes_at_all_angles(kind, ratio):
    errors = []
    for length in LENGTHS:
        for angle in np.radians(np.arange(0, 91, 10)):
            found = measured(kind, length, ratio, angle, PHASES)
            longest = length * np.hypot(1, ratio) if kind == "rectangle" else length
            errors.append([found.feret_min_px - length * ratio, found.feret_max_px - longest])
    errors = np.array(errors)  # (shapes, 2, phases)
    assert (abs(errors.mean(axis=(0, 2))) <= 0.6).all()
    assert (abs(errors.mean(axis=2)).mean(axis=0) <= 0.6).all()
    assert abs(errors).max() <= 1.5


def test_a_square_on_its_tip_has_its_feret_diameters():
    phases = np.random.default_rng(2).uniform(-0.5, 0.5, (40, 2))
    for side in (14, 40, 71):
        found = measured("rectangle", side, 1.0, np.pi / 4, phases)
        errors = found.feret_max_px - side * np.sqrt(2)
        assert abs(found.feret_min_px - side).max() <= 0.75
        assert abs(errors).max() <= 1.25  # a tip may fall between rows of pixels
        assert abs(errors.mean()) <= 0.5


def test_the_worst_square_known_reads_1_8_px_short():
    phases = np.random.default_rng(0).uniform(-0.5, 0.5, (12, 2)) + 0.5
    errors = measured("rectangle", 60, 1.0, np.radians(5), phases).feret_max_px - 60 * np.sqrt(2)
    assert -1.8 <= errors.min() <= -1.7
    assert np.sort(abs(errors))[-2] <= 1.5


def test_thin_bars_have_no_cut_corners():
    bars = np.zeros((2, 20, 40), np.uint8)
    bars[0, 5:7, 3:33] = bars[1, 5:8, 3:33] = 1
    found = measure(CroppedMasks.from_full(bars))
    np.testing.assert_allclose(found.feret_min_px, [2, 3])
    np.testing.assert_allclose(found.feret_max_px, np.hypot(30, [2, 3]))


@pytest.mark.parametrize("diameter", [20, 25.3, 40, 77.7, 100])
def test_perimeter_of_disks_to_half_a_percent(diameter):
    phases = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 2))
    assert measured("ellipse", diameter, 1.0, 0, phases).perimeter_px.mean() == pytest.approx(
        np.pi * diameter, rel=5e-3
    )


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_perimeter_of_rectangles_at_every_angle(ratio):
    for length in (20, 45, 100):
        for angle in np.radians(np.arange(0, 91, 5)):
            perimeter = measured("rectangle", length, ratio, angle, PHASES).perimeter_px.mean()
            assert perimeter == pytest.approx(2 * length * (1 + ratio), rel=0.075), (length, np.degrees(angle))


def test_shape_of_disks_and_rectangles():
    disk = measured("ellipse", 60, 1.0, 0, PHASES)
    np.testing.assert_allclose(disk.aspect_ratio, 1, atol=0.03)
    np.testing.assert_allclose(disk.circularity, 1, atol=0.01)
    np.testing.assert_array_equal(disk.solidity, 1)
    bar = measured("rectangle", 80, 0.25, np.radians(30), PHASES)
    np.testing.assert_allclose(bar.aspect_ratio, 20 / np.hypot(80, 20), atol=0.02)
    np.testing.assert_allclose(bar.circularity, np.sqrt(4 * np.pi * 1600) / 200, rtol=0.03)


def test_a_full_rectangle_of_pixels_in_closed_form():
    full = np.zeros((1, 40, 40), np.uint8)
    full[0, 5:17, 3:35] = 1  # 12 rows, 32 columns
    found = measure(CroppedMasks.from_full(full), PixelSize(2.0))
    assert (found.area_px[0], found.solidity[0]) == (384, 1)
    assert found.feret_min_px[0] == pytest.approx(12)
    assert found.feret_max_px[0] == pytest.approx(np.hypot(12, 32))
    assert found.aspect_ratio[0] == pytest.approx(12 / np.hypot(12, 32))
    assert (found.feret_min_nm[0], found.area_nm2[0]) == pytest.approx((24, 384 * 4))


def test_solidity_is_the_share_of_the_hull_s_pixels():
    corner = np.zeros((1, 30, 30), np.uint8)
    corner[0, :20, :5] = corner[0, 15:20, :20] = 1
    rows, columns = np.mgrid[:30, :30]
    hull = (rows < 20) & (columns < 20) & (15 * columns <= 4 * 15 + 15 * rows)  # an edge from (0, 4) to (15, 19)
    assert measure(CroppedMasks.from_full(corner)).solidity[0] == pytest.approx(corner.sum() / hull.sum())


@settings(max_examples=60, deadline=None)
@given(ellipse_stacks())
def test_agrees_with_scikit_image(stack):
    masks = CroppedMasks.from_full(stack) if len(stack) else CroppedMasks.empty((60, 80))
    found, centres = measure(masks), centroids_px(masks)
    for n, mask in enumerate(stack):
        if not mask.any():
            assert np.isnan([found.ecd_px[n], found.feret_min_px[n], found.solidity[n], centres[n, 0]]).all()
            assert found.area_px[n] == found.perimeter_px[n] == 0
            continue
        (region,) = regionprops(mask)
        assert found.area_px[n] == region.area
        assert found.ecd_px[n] == pytest.approx(region.equivalent_diameter_area)
        assert masks.boxes[n].tolist() == [region.bbox[i] for i in (1, 0, 3, 2)]
        np.testing.assert_allclose(centres[n], np.array(region.centroid) + 0.5, atol=1e-9)
        if region.area >= 80:
            assert found.solidity[n] == pytest.approx(
                region.area / convex_hull_image(mask, offset_coordinates=False).sum()
            )
            assert abs(found.feret_max_px[n] - region.feret_diameter_max) <= 1.5  # its hull is larger: edge midpoints
            assert found.perimeter_px[n] == pytest.approx(region.perimeter_crofton, rel=0.12)


@settings(max_examples=100, deadline=None)
@given(noise_stacks())
def test_any_mask_whatever_is_measured_like_itself_alone(stack):
    if len(stack) == 0:
        return
    masks = CroppedMasks.from_full(stack)
    together = measure(masks)
    for n in range(len(masks)):
        alone = measure(masks[n])
        for name, values in together.columns().items():
            np.testing.assert_allclose(values[n], getattr(alone, name)[0], rtol=1e-12, err_msg=name)
    there = together.area_px > 0
    for shape in (together.aspect_ratio[there], together.solidity[there]):
        assert ((shape > 0) & (shape <= 1)).all()


@given(st.integers(1, 30), st.sampled_from(["horizontal", "vertical", "diagonal"]))
def test_mirrored_masks_measure_the_same(seed, direction):
    radii = np.random.default_rng(seed).uniform(2, 30, 4)
    masks = disks((100, 100), np.random.default_rng(seed).uniform(20, 80, (4, 2)), radii)
    first, second = measure(masks), measure(masks.flip(direction))
    for name, values in first.columns().items():
        np.testing.assert_allclose(values, getattr(second, name), rtol=1e-9, err_msg=name)


def test_lines_and_single_pixels():
    full = np.zeros((3, 20, 20), np.uint8)
    full[0, 3, 4] = full[1, 7, 2:12] = 1
    full[2, np.arange(10), np.arange(10)] = 1
    found = measure(CroppedMasks.from_full(full))
    assert (found.feret_min_px[0], found.feret_max_px[0], found.aspect_ratio[0]) == (1, 1, 1)
    assert (found.feret_min_px[1], found.feret_max_px[1]) == (1, 10)
    assert found.feret_max_px[2] == pytest.approx(9 * np.sqrt(2) + 1)
    np.testing.assert_array_equal(found.solidity, 1)
