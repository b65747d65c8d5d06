"""Texts and scale bars in a picture are found anywhere, and saturated particles are not taken for them."""

import itertools

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from scenes import disks, jpeg
from semsize.sem import find_captions

SHAPE = (352, 512)
TEXT = "SU3500 10.0kV x100 500um"


def brighter(image, factor):
    return np.clip(image.astype(np.int16) * factor, 0, 255).astype(np.uint8)


def found(image):
    return find_captions(image.astype(np.float32))


def letters_of_opencv(size, thickness, line_type):
    def draw(image, ink, place):
        image, mask = image.copy(), np.zeros_like(image)
        for canvas, level in ((image, ink), (mask, 255)):
            cv2.putText(canvas, TEXT, place, cv2.FONT_HERSHEY_SIMPLEX, size, level, thickness, line_type)
        return image, mask > 127

    return draw


def letters_of_pillow(size):
    def draw(image, ink, place):
        layer = Image.new("L", image.shape[::-1])
        ImageDraw.Draw(layer).text((place[0], place[1] - size), TEXT, 255, font=ImageFont.load_default(size))
        share = np.array(layer) / 255
        return np.rint(image * (1 - share) + ink * share).astype(np.uint8), share > 0.5

    return draw


LETTERS = {
    "OpenCV, hard": letters_of_opencv(0.4, 1, cv2.LINE_8),
    "OpenCV, smooth": letters_of_opencv(0.6, 1, cv2.LINE_AA),
    "OpenCV, bold": letters_of_opencv(0.8, 2, cv2.LINE_AA),
    "Pillow, small": letters_of_pillow(14),
    "Pillow, large": letters_of_pillow(30),
}


@pytest.mark.parametrize(
    ("letters", "quality"), [*((name, None) for name in LETTERS), ("OpenCV, hard", 90), ("Pillow, small", 90)]
)
def test_white_letters_over_particles_are_found(frames, letters, quality):
    shares = []
    grounds = [*frames, *(brighter(frame, 2) for frame in frames[:2])]  # the last with saturated particles
    for ground, row in zip(grounds, itertools.cycle((40, 330))):
        image, mask = LETTERS[letters](ground, 255, (12, row))
        seen = mask & (cv2.dilate((ground > 200).astype(np.uint8), np.ones((5, 5))) == 0)
        on = found(image if quality is None else jpeg(image, quality))
        shares.append((on & seen).sum() / seen.sum())
        assert not on[: max(row - 60, 0)].any()
        assert not on[row + 40 :].any()
    assert np.median(shares) >= 0.9
    assert min(shares) >= 0.3  # where letters run over bright agglomerates


@pytest.mark.parametrize("letters", ["OpenCV, hard", "OpenCV, bold", "Pillow, large"])
def test_black_letters_on_bright_ground_are_found(letters):
    ground = np.random.default_rng(0).normal(170, 8, SHAPE).astype(np.uint8)
    image, mask = LETTERS[letters](ground, 0, (12, 330))
    assert (found(image) & mask).sum() >= 0.9 * mask.sum()


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("quality", [None, 90])
def test_a_scale_bar_with_its_length_is_found(frames, ink, boxed, quality):
    for frame in frames:
        image = frame if ink else np.clip(255 - frame.astype(np.int16), 60, 250).astype(np.uint8)
        if boxed:
            cv2.rectangle(image := image.copy(), (370, 300), (490, 345), 255 - ink, -1)
        cv2.rectangle(image := image.copy(), (385, 330), (475, 335), ink, -1)
        cv2.putText(image, "2 um", (400, 324), cv2.FONT_HERSHEY_SIMPLEX, 0.6, ink, 2)
        on = found(image if quality is None else jpeg(image, quality))
        assert on[330:336, 385:476].mean() > 0.95
        assert on[310:325, 400:450].any()
        if boxed and quality is None:  # compressed, a black box melts into ground that is nearly black
            assert on[300:346, 370:491].mean() > 0.95
        assert not on[:250].any()
        assert not on[:, :340].any()


def test_hitachi_s_caption_of_thin_strokes_and_ticks():
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(110, 25, (960, 1280)), 0, 200).astype(np.uint8)
    drawn = np.zeros_like(image)
    for tick in range(11):
        left = round(700 + 50.4 * tick)
        drawn[895:912, left : left + 4] = 255
    cv2.putText(drawn, "SU3500 10.0kV X100", (20, 945), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 3)
    image[drawn > 0] = 255
    on = found(image)
    assert on[drawn > 0].all()
    assert not on[:880].any()


@pytest.mark.parametrize(
    ("factor", "quality", "turned"),
    [
        (1, None, False),
        (1, 60, True),
        (2, None, True),
        (2, 60, False),
        *((3, q, t) for q in (None, 60) for t in (0, 1)),
    ],
)
def test_saturated_scenes_have_no_captions(frames, factor, quality, turned):
    for frame in frames:
        image = brighter(frame, factor)
        image = 255 - image if turned else image
        assert not found(image if quality is None else jpeg(image, quality)).any()


@pytest.mark.parametrize("rim", [False, True])
def test_saturated_discs_and_rims_side_by_side_are_none(rim):
    """Monodisperse spheres in square order, saturated all over or at their rims, as a detector shows them."""
    rng = np.random.default_rng(1)
    centres = [(row, column) for row in range(30, 330, 44) for column in range(30, 490, 44)]
    grey = np.full(SHAPE, 50.0)
    for radius, level in ((20, 330), (15, 150)) if rim else ((20, 330),):
        grey[disks(SHAPE, centres, [radius] * len(centres)).union()] = level
    grey = cv2.GaussianBlur(grey, (0, 0), 1.2) + rng.normal(0, 8, SHAPE)
    assert not found(np.clip(grey, 0, 255).astype(np.uint8)).any()


def test_flat_disks_of_one_level_are_none():
    rng = np.random.default_rng(2)
    grey = np.full(SHAPE, 40, np.uint8)
    grey[disks(SHAPE, rng.uniform(20, 330, (40, 2)).tolist(), rng.uniform(2, 18, 40)).union()] = 255
    assert not found(grey).any()


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (40, 40)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_plain_images_have_none(shape, level):
    assert not found(np.full(shape, level, np.uint8)).any()
