"""A data bar is found where it was drawn, and nowhere else."""

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scenes import jpeg
from semsize.sem import find_data_bar, read_grey, read_image
from semsize.synthesis import RenderSettings, render_image
from semsize.synthesis.rendering import add_data_bar


def changed(frame, kind):
    """The frame as other instruments, settings and mishaps would show it."""
    height = len(frame)
    dark = np.clip(frame.astype(np.int16) - int(np.median(frame)), 0, 255).astype(np.uint8)
    return {
        "as it is": frame,
        "substrate clipped to black": dark,
        "particles clipped to white": np.clip(frame.astype(np.int16) * 3, 0, 255).astype(np.uint8),
        "compressed": jpeg(frame, 60),
        "compressed and black": jpeg(dark, 60),
        "scan stopped": np.where(np.arange(height)[:, None] < 0.9 * height, frame, 0).astype(np.uint8),
        "faint": (frame // 16).astype(np.uint8),
    }[kind]


KINDS = ("as it is", "substrate clipped to black", "particles clipped to white", "compressed", "compressed and black")
KINDS += ("scan stopped", "faint")


@pytest.mark.parametrize("kind", KINDS)
def test_no_bar_is_found_where_there_is_none(frames, kind):
    assert [find_data_bar(changed(frame, kind)) for frame in frames] == [None] * len(frames)


@pytest.mark.parametrize("quality", [None, 90, 50])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_drawn_bar_is_found(frames, inverted, quality):
    for frame in frames:
        image = add_data_bar(frame, 7.344)
        if inverted:
            image[len(frame) :] = 255 - image[len(frame) :]
        image = image if quality is None else jpeg(image, quality)
        found = find_data_bar(image.astype(np.float32))
        blurred_line = 0 if quality is None else 2  # compression may blur the line of two rows that tops the bar
        assert len(frame) <= found <= len(frame) + blurred_line


@pytest.mark.parametrize("kind", ["particles clipped to white", "compressed", "faint"])
def test_a_bar_below_odd_frames_is_found(frames, kind):
    for frame in frames:
        assert find_data_bar(add_data_bar(changed(frame, kind), 7.344)) == len(frame)


def test_the_specimen_may_show_again_below_the_bar(frames):
    for frame in frames:
        barred = np.concatenate([add_data_bar(frame, 7.344), frame[:3]])
        assert find_data_bar(barred) == len(frame)


def test_agglomerates_that_fill_the_frame_have_no_bar():
    setting = RenderSettings(seed=7, shape=(176, 176), preset="agglomerated", particles=140)
    frame = render_image(setting, 0).pixels
    assert find_data_bar(frame) is None
    assert find_data_bar(add_data_bar(frame, 7.344)) == 176


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60)), elements=st.sampled_from([0, 255])))
def test_a_found_bar_is_within_the_lowest_quarter(image):
    row = find_data_bar(image)
    assert row is None or 0.75 * len(image) <= row < len(image)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.floats(0, 60), st.integers(0, 2**32 - 1))
def test_noise_of_any_level_has_no_bar(level, std, seed):
    noise = np.random.default_rng(seed).normal(level, std, (200, 160))
    assert find_data_bar(np.clip(noise, 0, 255).astype(np.float32)) is None


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7), (768, 1024)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_plain_images_of_any_size_have_no_bar(shape, level):
    assert find_data_bar(np.full(shape, level, np.float32)) is None


def test_the_real_images_show_the_specimen_above_row_712(raw_images):
    for path in raw_images:
        grey = read_grey(path)
        assert grey.shape == (768, 1024)
        assert find_data_bar(grey) == 712
        assert find_data_bar(jpeg(grey.astype(np.uint8), 60)) == 712
        assert find_data_bar(grey[:712]) is None


DEEP = {  # stored levels of the specimen's black and white, of the bar's ground and of its texts
    "TESCAN": (2800, 40_000, 13_621, 65_535),
    "ten bits in sixteen": (0, 1023, 0, 65_535),
    "white bar": (2800, 40_000, 65_535, 0),
    "all of the bar brighter than the specimen": (100, 20_000, 40_000, 65_535),
    "all of the bar darker than the specimen": (30_000, 60_000, 0, 25_000),
}


def deep(frame, kind, dtype, *, on_top):
    """A frame as deep levels, and the same with a bar of texts at its foot or head."""
    black, white, ground, ink = DEEP[kind]
    specimen = np.rint(black + frame * ((white - black) / 255)).astype(dtype)
    bar = add_data_bar(frame, 7.344)[len(frame) + 2 :] > 128  # without the white line on top
    bar = np.where(bar, ink, ground).astype(dtype)
    return specimen, np.concatenate([bar, specimen] if on_top else [specimen, bar])


@pytest.mark.parametrize("on_top", [False, True])
@pytest.mark.parametrize(
    ("kind", "dtype"), [*((kind, np.uint16) for kind in DEEP), ("TESCAN", np.int32), ("white bar", np.float32)]
)
def test_a_deep_image_s_levels_are_those_of_its_specimen(frames, tmp_path, kind, dtype, on_top):
    for frame in frames[::2]:
        specimen, barred = deep(frame, kind, dtype, on_top=on_top)
        tifffile.imwrite(tmp_path / "bare.tif", specimen)
        tifffile.imwrite(tmp_path / "barred.tif", barred)
        image, expected = read_image(tmp_path / "barred.tif"), read_grey(tmp_path / "bare.tif")
        rows = len(barred) - len(specimen)
        assert (image.top, image.bottom) == ((rows, len(barred)) if on_top else (0, len(specimen)))
        np.testing.assert_array_equal(image.specimen, expected)
        whole = read_grey(tmp_path / "barred.tif")
        assert whole.shape == barred.shape
        np.testing.assert_array_equal(whole[image.top : image.bottom], expected)


def test_rows_cropped_by_hand_count_for_nothing_in_the_levels(frames, tmp_path):
    specimen = frames[0].astype(np.uint16) * 9
    strip = np.full((20, specimen.shape[1]), 60_000, np.uint16)  # no texts: no bar
    tifffile.imwrite(tmp_path / "bare.tif", specimen)
    tifffile.imwrite(tmp_path / "strips.tif", np.concatenate([strip, specimen, strip]))
    image = read_image(tmp_path / "strips.tif", crop_top=20, crop_rows=20)
    np.testing.assert_array_equal(image.specimen, read_grey(tmp_path / "bare.tif"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_bar_on_top_is_found_and_none_where_there_is_none(frames, tmp_path, kind):
    for frame in frames:
        shown = changed(frame, kind)
        if kind not in ("substrate clipped to black", "compressed and black"):  # no step where black meets black
            barred = add_data_bar(shown, 7.344)
            barred = np.concatenate([barred[len(frame) :][::-1], shown])
            cv2.imwrite(str(tmp_path / "a.png"), barred)
            image = read_image(tmp_path / "a.png")
            assert (image.top, image.bottom) == (len(barred) - len(frame), len(barred))
        cv2.imwrite(str(tmp_path / "a.png"), shown[::-1])
        image = read_image(tmp_path / "a.png")
        assert (image.top, image.bottom) == (0, len(frame))
