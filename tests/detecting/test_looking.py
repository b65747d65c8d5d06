"""Each particle is found once, whole and at its best scale, whatever the tiles; needless finer looks are skipped."""

import io
import re
import sys
from functools import partial

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import find_objects
from tqdm import tqdm

from scenes import disks
from semsize.detecting import looking
from semsize.detecting.engine import ALL_SIZES
from semsize.detecting.joining import COMFORTABLE_PX
from semsize.detecting.looking import Found, Look, Looking, look, outline_rules, planned_scales
from semsize.structures.masks import CroppedMasks


def drawn(shape, particles):
    """An image whose grey levels are the particles' numbers, later ones above earlier ones."""
    field = np.zeros(shape, np.float32)
    for number, (crop, (row, column)) in enumerate(particles, start=1):
        field[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    return field


class Oracle:
    """A perfect engine: a score of 0.9 for all that measures 8 to 200 px in its input; it keeps what it was asked."""

    def __init__(self, smallest_px=8, largest_px=200):
        self.smallest_px, self.largest_px = smallest_px, largest_px
        self.scales, self.drawn = [], []

    def __call__(self, windows, scale, sizes):
        self.scales.append(scale)
        return [self.found(window, scale, sizes) for window in windows]

    def found(self, window, scale, sizes=ALL_SIZES):
        crops = []
        for number, place in enumerate(find_objects(window.astype(np.int32)), start=1):
            if place is None:
                continue
            crop = window[place] == number
            if self.smallest_px <= np.sqrt(crop.sum()) * scale <= self.largest_px:
                crops.append((crop, (place[0].start, place[1].start)))
        masks = CroppedMasks.from_crops(crops, window.shape)
        scores = np.full(len(masks), 0.9, np.float32)
        is_drawn, *others = sizes.split(masks.boxes * np.float32(scale), scores, (scale, scale))
        drawn = masks[is_drawn]
        self.drawn.append(len(drawn))
        return Found(drawn, scores[is_drawn], drawn.boxes, "", *others)


def numbers_of(found: Look, field):
    """The particle that each mask shows, in ascending order; each mask holds all of its pixels and no other."""
    shown = []
    for crop, (row, column) in found.masks:
        window = field[row : row + crop.shape[0], column : column + crop.shape[1]]
        (number,) = np.unique(window[crop > 0])
        assert (field == number).sum() == crop.sum()
        shown.append(int(number))
    return sorted(shown)


def test_a_field_of_6000_px_has_each_particle_exactly_once_in_tiles():
    """2000 particles of up to 100 px, touching and hiding one another, in 49 tiles that share 100 px and more."""
    side, largest = 6000, 100
    rng = np.random.default_rng(0)
    particles = disks((side, side), rng.uniform(0, side, (2000, 2)), rng.uniform(4, largest / 2, 2000))
    field = drawn((side, side), particles)
    whole = Oracle(0, 1e9).found(field, 1.0)
    found = look(field, Oracle(0, 1e9), Looking((1.0,), tile=(1024, largest)), batch_size=4)
    assert found.notes == ()
    key = [tuple(origin) + crop.shape for crop, origin in whole.masks]
    order = [key.index(tuple(origin) + crop.shape) for crop, origin in found.masks]
    assert sorted(order) == list(range(len(whole.masks)))
    assert found.masks.to_rles() == whole.masks[order].to_rles()
    np.testing.assert_array_equal(found.boxes, whole.boxes[order])


def test_a_usual_frame_is_looked_at_whole_and_a_large_one_in_tiles():
    windows = []

    def engine(given, _, __):
        windows.extend(window.shape for window in given)
        return [
            Found(CroppedMasks.empty(w.shape), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)) for w in given
        ]

    look(np.zeros((1536, 2048), np.float32), engine, Looking((1.5,)))
    assert windows == [(1536, 2048)]
    windows.clear()
    look(np.zeros((3072, 4096), np.float32), engine, Looking((1.5,)))
    assert len(windows) > 1
    assert max(height * width * 1.5**2 for height, width in windows) <= 3200**2
    assert sum(height * width for height, width in windows) < 1.25 * 3072 * 4096, "tiles share what they must, no more"


class Console(io.StringIO):
    """Stands for stderr."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


def shown_before_each_look(monkeypatch, console, tile):
    """What stderr holds whenever the engine is given windows of an image of 4 x 1 tiles of 64 px, and at the end."""
    shown = []

    class Watched(Oracle):
        def __call__(self, *given):
            shown.append(console.getvalue())
            return super().__call__(*given)

    monkeypatch.setattr(sys, "stderr", console)
    monkeypatch.setattr(looking, "tqdm", partial(tqdm, mininterval=0, ncols=60))
    look(np.zeros((64, 200), np.float32), Watched(), Looking((1.0,), tile=tile))
    return [*shown, console.getvalue()]


def test_a_bar_moves_within_an_image(monkeypatch):
    *shown, end = shown_before_each_look(monkeypatch, Console(True), (64, 10))
    assert [re.findall(r"(\d)/4", text)[-1] for text in shown] == ["0", "1", "2", "3"]
    assert end.split("\r")[-2].isspace(), "it leaves nothing behind"


def test_each_process_has_a_bar_on_a_line_of_its_own(monkeypatch):
    monkeypatch.setattr(looking, "process_number", lambda: 2)
    *shown, end = shown_before_each_look(monkeypatch, Console(True), (64, 10))
    assert all(text.endswith("\x1b[A" * 2) for text in (*shown, end)), "the cursor is back on the first line"
    assert end.count("\n\n\r") == end.count("\r×1") + 1


@pytest.mark.parametrize(("is_terminal", "tile"), [(False, (64, 10)), (True, (200, 10))], ids=["file", "one tile"])
def test_no_bar_is_drawn_into_a_file_or_of_a_single_tile(monkeypatch, is_terminal, tile):
    assert set(shown_before_each_look(monkeypatch, Console(is_terminal), tile)) == {""}


def test_masks_that_only_tiles_edges_show_are_counted():
    field = np.zeros((300, 300), np.float32)
    field[20:280, 20:280] = 1
    found = look(field, Oracle(0, 1e9), Looking((1.0,), tile=(100, 20)))
    assert len(found.masks) == 0
    assert found.boxes.shape == (0, 4)
    assert "16 masks cut by a tile's edge" in found.notes[0]


def test_what_tiles_cut_comes_whole_from_a_coarser_scale():
    field = np.zeros((700, 700), np.float32)
    field[20:580, 20:580] = 1
    field[600:640, 600:640] = 2
    found = look(field, Oracle(), Looking((0.25, 1.0), tile=(300, 60)))
    assert numbers_of(found, field) == [1, 2]
    assert not any("cut" in note for note in found.notes)
    assert found.scale[found.masks.areas.argmax()] == 0.25
    assert found.scale[found.masks.areas.argmin()] == 1.0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(700, 900), (1400, 1000), (240, 400)]))
def test_whatever_their_sizes_all_particles_of_an_image_are_found_once(seed, shape):
    rng = np.random.default_rng(seed)
    radii = np.exp(rng.uniform(np.log(8), np.log(min(shape) / 5), 12))
    field = drawn(shape, disks(shape, rng.uniform(0, shape, (12, 2)), radii))
    sizes = {n: np.sqrt((field == n).sum()) for n in np.unique(field).astype(int).tolist() if n}
    visible = {n for n, size in sizes.items() if size >= 8}
    found = look(field, Oracle())
    shown = set(numbers_of(found, field))
    missed = visible - shown  # a finer look is spared where fewer than 15 % of what is there are small
    assert len(missed) < 0.15 * len(visible)
    assert all(sizes[n] * max(found.scales) < 8 for n in missed)
    assert len(found.masks) == len(shown)


def test_a_mask_is_drawn_at_two_scales_at_most():
    radii = np.repeat([9, 20, 45, 90], 6)
    field = drawn((1400, 1400), disks((1400, 1400), np.random.default_rng(1).uniform(100, 1300, (24, 2)), radii))
    engine = Oracle(4, 1e9)
    found = look(field, engine)
    assert engine.scales == [0.09375, 0.1875, 0.375, 0.75, 1.5, 3.0][: len(engine.scales)]
    assert len(engine.scales) >= 5
    assert sum(engine.drawn) <= 2 * len(found.masks)
    everything = Oracle(4, 1e9)
    look(field, lambda windows, scale, _: everything(windows, scale, ALL_SIZES))
    assert sum(everything.drawn) > 4 * len(found.masks)


def test_finer_looks_are_spared_where_all_is_large_and_taken_where_something_is_small():
    large = drawn((1400, 1400), disks((1400, 1400), np.array([[350, 350], [350, 1050], [1050, 700]]), np.full(3, 250)))
    engine = Oracle()
    look(large, engine)
    assert engine.scales == [0.09375, 0.1875, 1.5], (
        "two looks that show large ones alone, and a part at the natural scale"
    )
    small = drawn((700, 700), disks((700, 700), np.arange(60, 660, 60)[:, None].repeat(2, 1), np.full(10, 7)))
    engine = Oracle()
    look(small, engine)
    assert engine.scales == [0.1875, 0.375, 0.75, 1.5, 3.0]
    usual = drawn((700, 700), disks((700, 700), np.arange(60, 660, 60)[:, None].repeat(2, 1), np.full(10, 14)))
    engine = Oracle()
    look(usual, engine)
    assert engine.scales == [0.1875, 0.375, 0.75, 1.5], "beyond the natural scale only for small ones"


def test_the_smallest_among_the_largest_keep_the_finer_looks():
    centres = np.concatenate([[[500, 500]], np.stack([np.full(12, 1200), np.linspace(100, 1300, 12)], 1)])
    field = drawn((1400, 1400), disks((1400, 1400), centres, np.array([350, *[13] * 12])))
    engine = Oracle()
    found = look(field, engine)
    assert engine.scales[-1] == 1.5
    assert numbers_of(found, field) == list(range(1, 14))


def test_a_diameter_narrows_the_scales_and_scales_can_be_given():
    assert planned_scales((704, 1024), Looking()) == (0.1875, 0.375, 0.75, 1.5, 3.0)
    assert planned_scales((704, 1024), Looking(diameter_px=28)) == (0.75, 1.5)
    assert planned_scales((704, 1024), Looking(diameter_px=8)) == (3.0,)
    assert planned_scales((704, 1024), Looking(diameter_px=1e6)) == (0.1875,)
    assert planned_scales((704, 1024), Looking((1.5, 0.5, 1.5))) == (0.5, 1.5)
    assert planned_scales((60, 40), Looking()) == (1.5, 3.0)
    for wrong in ({"scales": ()}, {"scales": (0.0,)}, {"diameter_px": 0.0}):
        with pytest.raises(ValueError, match="above 0"):
            Looking(**wrong)


def test_a_picture_unlike_those_that_are_known_is_told():
    nothing = look(np.zeros((300, 400), np.float32), Oracle())
    assert len(nothing.masks) == 0
    assert any("nothing was found at ×0.375, ×0.75, ×1.5" in note and "Invert" in note for note in nothing.notes)
    huge = np.zeros((400, 400), np.float32)
    cv2.circle(huge, (200, 200), 120, 1, -1)
    assert any("half of the frame" in note for note in look(huge, Oracle()).notes)


def test_a_limit_that_was_reached_is_said_once_with_its_scale():
    def engine(windows, _, __):
        return [
            Found(CroppedMasks.empty(w.shape), np.zeros(0, np.float32), np.zeros((0, 4), np.float32), "full")
            for w in windows
        ]

    notes = look(np.zeros((300, 300), np.float32), engine, Looking((1.0,), tile=(100, 20))).notes
    assert notes[0] == "at ×1 full"
    assert notes.count("at ×1 full") == 1
    notes = look(np.zeros((300, 300), np.float32), engine, Looking((1.0, 2.0))).notes
    assert notes[:2] == ("at ×1 full (small ones are looked for at finer scales too)", "at ×2 full")


def test_rules_of_joining_belong_to_several_scales_alone():
    assert outline_rules([1.5]) == outline_rules(None) == {"looking.pieces": "the largest, without holes"}
    assert outline_rules("auto") == outline_rules([0.75, 1.5])
    assert outline_rules("auto")["looking.comfortable_px"] == COMFORTABLE_PX
