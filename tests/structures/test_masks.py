"""CroppedMasks behaves like the stack of full frames and keeps its crops tight."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsize.structures.masks import CroppedMasks, clip, shared_pixels, tighten
from strategies import ellipse_stacks, image_shapes, indices, noise_stacks


def assert_holds(masks: CroppedMasks, stack: np.ndarray) -> None:
    """The masks are those of the stack (N, H, W), and each crop is tight."""
    assert masks.image_shape == stack.shape[1:]
    np.testing.assert_array_equal(masks.to_full(), stack)
    np.testing.assert_array_equal(masks.union(), stack.any(axis=0))
    assert masks.origins.dtype == np.int64
    for crop, _ in masks:
        assert crop.dtype == np.uint8
        assert crop.size == 0 or (crop[[0, -1]].any(axis=1).all() and crop[:, [0, -1]].any(axis=0).all())


@given(noise_stacks())
def test_full_frames_and_rles_round_trip(stack):
    masks = CroppedMasks.from_full(stack)
    assert_holds(masks, stack)
    assert_holds(CroppedMasks.from_rles(masks.to_rles(), stack.shape[1:]), stack)


def test_whatever_is_not_zero_is_mask():
    values = np.array([[[0, 255, 0], [0, 2, -1]]])
    for masks in (CroppedMasks.from_full(values), CroppedMasks.from_crops([(values[0] / 3, (0, 0))], (2, 3))):
        assert_holds(masks, np.array([[[0, 1, 0], [0, 1, 1]]], np.uint8))


@given(noise_stacks())
def test_areas_and_boxes(stack):
    masks = CroppedMasks.from_full(stack)
    assert masks.areas.tolist() == stack.sum(axis=(1, 2)).tolist()
    assert masks.boxes.dtype == np.float32
    for mask, box in zip(stack, masks.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]
        assert box.tolist() == expected


@given(st.data(), image_shapes(12))
def test_label_image(data, shape):
    labels = np.array(
        data.draw(st.lists(st.integers(-1, 5), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    )
    labels = labels.reshape(shape)
    ids = [label for label in np.unique(labels) if label > 0]
    stack = np.array([labels == label for label in ids], np.uint8).reshape(-1, *shape)
    assert_holds(CroppedMasks.from_label_image(labels), stack)


@given(st.data(), noise_stacks())
def test_indexing_selects_as_it_does_from_an_array(data, stack):
    index = data.draw(indices(len(stack)))
    expected = stack[np.asarray(index, np.int64)] if isinstance(index, list) else stack[index]
    assert_holds(CroppedMasks.from_full(stack)[index], expected.reshape(-1, *stack.shape[1:]))


def test_an_index_out_of_range_is_refused():
    with pytest.raises(IndexError):
        CroppedMasks.from_full(np.ones((2, 3, 3), np.uint8))[2]


@given(st.data(), noise_stacks())
def test_joining_undoes_splitting(data, stack):
    cut = data.draw(st.integers(0, len(stack)))
    masks = CroppedMasks.from_full(stack)
    assert_holds(CroppedMasks.cat([masks[:cut], masks[cut:], masks[:0]]), stack)


@given(noise_stacks())
def test_iteration_gives_each_crop_and_where_it_lies(stack):
    for mask, (crop, (row, column)) in zip(stack, CroppedMasks.from_full(stack), strict=True):
        np.testing.assert_array_equal(mask[row : row + crop.shape[0], column : column + crop.shape[1]], crop)
        assert crop.sum() == mask.sum()


@given(noise_stacks())
def test_flips(stack):
    masks = CroppedMasks.from_full(stack)
    for direction, axes in (("horizontal", 2), ("vertical", 1), ("diagonal", (1, 2))):
        flipped = masks.flip(direction)
        assert_holds(flipped, np.flip(stack, axes))
        assert_holds(flipped.flip(direction), stack)


@given(noise_stacks())
def test_transposition_exchanges_rows_and_columns(stack):
    masks = CroppedMasks.from_full(stack)
    assert_holds(masks.transpose(), stack.swapaxes(1, 2))
    assert_holds(masks.transpose().transpose(), stack)


@given(noise_stacks(), st.tuples(*[st.integers(-3, 15)] * 4))
def test_crop_is_a_slice_of_the_image(stack, box):
    height, width = stack.shape[1:]
    left, right = (min(max(x, 0), width) for x in box[::2])
    top, bottom = (min(max(y, 0), height) for y in box[1::2])
    framed = np.pad(stack, ((0, 0), (0, 1), (0, 1)))  # an empty box shows at least one pixel
    expected = framed[:, top : max(bottom, top + 1), left : max(right, left + 1)]
    assert_holds(CroppedMasks.from_full(stack).crop(box), expected)


@given(noise_stacks(), st.tuples(*[st.integers(0, 5)] * 4))
def test_expand_and_crop_back(stack, margins):
    top, bottom, left, right = margins
    height, width = stack.shape[1:]
    larger = (height + top + bottom, width + left + right)
    masks = CroppedMasks.from_full(stack)
    assert_holds(masks.expand(larger, top, left), np.pad(stack, ((0, 0), (top, bottom), (left, right))))
    assert_holds(masks.expand(larger, top, left).crop((left, top, left + width, top + height)), stack)
    assert_holds(masks.expand(larger, 0, 0), np.pad(stack, ((0, 0), (0, top + bottom), (0, left + right))))


@given(noise_stacks(), image_shapes(30))
def test_resize_takes_the_pixels_that_opencv_takes(stack, shape):
    resized = [cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST) for mask in stack]
    assert_holds(CroppedMasks.from_full(stack).resize(shape), np.array(resized, np.uint8).reshape(-1, *shape))


@given(ellipse_stacks(), st.integers(1, 4))
def test_enlarging_by_a_whole_factor_multiplies_areas_by_its_square(stack, factor):
    masks = CroppedMasks.from_full(stack)
    enlarged = masks.rescale(float(factor))
    assert enlarged.image_shape == tuple(side * factor for side in masks.image_shape)
    assert enlarged.areas.tolist() == (masks.areas * factor**2).tolist()
    assert enlarged.boxes.tolist() == (masks.boxes * factor).tolist()


@pytest.mark.parametrize(("scale", "shape"), [(0.5, (30, 40)), ((800, 450), (450, 600)), ((450, 800), (450, 600))])
def test_rescale_keeps_proportions(scale, shape):
    assert CroppedMasks.empty((60, 80)).rescale(scale).image_shape == shape


@given(ellipse_stacks(), st.integers(-70, 70), st.integers(-70, 70), image_shapes(90))
def test_translation_by_whole_pixels_is_exact(stack, x, y, shape):
    framed = np.zeros((len(stack), *shape), np.uint8)
    height, width = (min(sides) for sides in zip(stack.shape[1:], shape, strict=True))
    framed[:, :height, :width] = stack[:, :height, :width]
    moved = np.zeros_like(framed)
    rows, columns = np.nonzero(np.ones(shape, bool))
    inside = (rows + y >= 0) & (rows + y < shape[0]) & (columns + x >= 0) & (columns + x < shape[1])
    rows, columns = rows[inside], columns[inside]
    moved[:, rows + y, columns + x] = framed[:, rows, columns]
    assert_holds(CroppedMasks.from_full(stack).translate((x, y), shape), moved)


@given(ellipse_stacks(shape=(60, 60)), st.integers(-3, 3))
def test_quarter_turns_are_exact(stack, quarters):
    masks = CroppedMasks.from_full(stack)
    assert_holds(masks.rotate(90.0 * quarters), np.rot90(stack, -quarters, axes=(1, 2)))


@given(ellipse_stacks(), st.floats(-180, 180), st.floats(0.5, 1.5))
def test_rotation_and_scaling_keep_area_times_scale_squared(stack, angle, scale):
    masks = CroppedMasks.from_full(stack)
    moved = masks.expand((360, 380), 150, 150).rotate(angle, scale=scale)
    contours = [cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0] for mask in stack]
    perimeters = np.array([sum(cv2.arcLength(c, True) for c in found) for found in contours])
    assert (np.abs(moved.areas - masks.areas * scale**2) <= scale * perimeters + 4).all()


@given(ellipse_stacks(), st.sampled_from(["horizontal", "vertical"]), st.sampled_from(["nearest", "bilinear"]))
def test_no_shear_and_no_shift_change_nothing(stack, direction, interpolation):
    masks = CroppedMasks.from_full(stack)
    assert_holds(masks.shear(0.0, direction, interpolation), stack)
    assert_holds(masks.affine(np.eye(2, 3), masks.image_shape, interpolation), stack)


def test_shear_by_one_moves_each_row_by_its_number():
    stack = np.zeros((1, 8, 20), np.uint8)
    stack[0, 2:6, 3:7] = 1
    expected = np.array([[np.roll(row, number) for number, row in enumerate(stack[0])]])
    assert_holds(CroppedMasks.from_full(stack).shear(1.0, "horizontal"), expected)


def test_half_a_pixel_of_shift_keeps_a_bars_area():
    stack = np.zeros((1, 9, 30), np.uint8)
    stack[0, 3:6, 10:20] = 1
    moved = CroppedMasks.from_full(stack).translate((0.25, 0), (9, 30))
    assert_holds(moved, stack)  # a quarter of a pixel fills no further pixel by half
    assert CroppedMasks.from_full(stack).translate((0.75, 0), (9, 30)).boxes.tolist() == [[11, 3, 21, 6]]


def test_empty_sets_go_through_everything():
    empty = CroppedMasks.empty((20, 30))
    for result in (
        empty.flip("diagonal"),
        empty.crop((0, 0, 20, 20)),
        empty.expand((40, 40), 0, 0),
        empty.resize((10, 10)),
        empty.rotate(30),
        empty.shear(0.2, "vertical"),
        empty.translate((1.5, 2), (20, 30)),
        empty[np.zeros(0, bool)],
        CroppedMasks.cat([empty, empty]),
    ):
        assert len(result) == 0
        assert result.boxes.shape == (0, 4)
        assert result.areas.shape == (0,)
        assert result.to_rles() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.flip("sideways"), "flip direction"),
        (lambda m: m.expand((2, 9), 0, 0), "does not fit"),
        (lambda m: m.shear(1.0, "diagonal"), "shear direction"),
        (lambda m: m.affine(np.eye(2, 3), (3, 3), "cubic"), "interpolation"),
        (lambda m: CroppedMasks.cat([m, CroppedMasks.empty((5, 5))]), "one size"),
        (lambda m: m.cat([]), "one size"),
        (lambda m: m.from_rles([]), "give image_shape"),
        (lambda m: CroppedMasks.from_rles(m.to_rles(), (9, 9)), "RLE of size"),
        (lambda m: CroppedMasks(m.crops, np.zeros((5, 2)), (3, 3)), "5 origins"),
    ],
)
def test_misuse_is_refused_in_words(call, message):
    with pytest.raises(ValueError, match=message):
        call(CroppedMasks.from_full(np.ones((1, 3, 3), np.uint8)))


@given(noise_stacks(), st.integers(-9, 9), st.integers(-9, 9))
def test_tightening_keeps_every_pixel_where_it_is(stack, row, column):
    for mask in stack:
        crop, origin = tighten(mask, (row, column))
        before = np.argwhere(mask) + np.array([row, column])
        after = np.argwhere(crop) + origin
        np.testing.assert_array_equal(after, before)


@given(noise_stacks(), st.integers(-9, 9), st.integers(-9, 9))
def test_clipping_drops_just_the_pixels_outside(stack, row, column):
    height, width = 7, 5
    for mask in stack:
        crop, origin = clip(mask, (row, column), (height, width))
        pixels = np.argwhere(mask) + np.array([row, column])
        inside = ((pixels >= 0) & (pixels < (height, width))).all(axis=1)
        np.testing.assert_array_equal(np.argwhere(crop) + origin, pixels[inside])


@given(noise_stacks(), noise_stacks(), st.integers(-6, 6), st.integers(-6, 6))
def test_shared_pixels_are_those_of_the_full_frames(stack, others, row, column):
    for mask, other in zip(stack, others, strict=False):
        frame = np.zeros((40, 40), np.uint8)
        frame[9 : 9 + mask.shape[0], 9 : 9 + mask.shape[1]] += mask
        frame[9 + row : 9 + row + other.shape[0], 9 + column : 9 + column + other.shape[1]] += other
        assert shared_pixels((mask, (9, 9)), (other, (9 + row, 9 + column))) == np.count_nonzero(frame == 2)
