"""The legend keeps the picture, its width, and every colour."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.font_manager import findfont

from semsize.measuring import overlays
from semsize.measuring.overlays import FILL_OPACITY, STRIP_COLOUR, Entry, add_legend, drawable

ENTRIES = [Entry("one", (255, 0, 0)), Entry("another, with a longer label", (0, 255, 0), filled=True)] * 2


@pytest.mark.parametrize("width", [2048, 700, 300])
def test_the_picture_stays_and_each_colour_occurs_below_it(width):
    picture = np.random.default_rng(0).integers(0, 256, (40, width, 3), dtype=np.uint8)
    with_legend = add_legend(picture, ENTRIES, caption="a caption")
    assert with_legend.shape[1] == width
    assert np.array_equal(with_legend[:40], picture)
    strip = with_legend[40:].reshape(-1, 3)
    filled = np.rint((1 - FILL_OPACITY) * np.array(STRIP_COLOUR) + FILL_OPACITY * np.array((0, 255, 0)))
    for colour in ((255, 0, 0), (0, 255, 0), STRIP_COLOUR):
        assert (abs(strip.astype(int) - colour).max(axis=1) <= 2).any()
    assert (abs(strip.astype(int) - filled).max(axis=1) <= 2).any()


def test_a_narrow_picture_gets_more_rows_and_a_very_narrow_one_is_widened():
    heights = [add_legend(np.zeros((10, width, 3), np.uint8), ENTRIES).shape[0] for width in (1200, 600, 240)]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1]
    widened = add_legend(np.full((10, 30, 3), 200, np.uint8), ENTRIES)
    assert widened.shape[1] > 100
    assert (widened[:10, :30] == 200).all()
    assert (widened[:10, 30:] == STRIP_COLOUR).all()


@pytest.fixture
def fonts(monkeypatch):
    """Sets which fonts are installed besides the default one."""
    default = findfont("DejaVu Sans")

    def install(*names):
        installed = [SimpleNamespace(name=name, fname=default, style="normal", weight=400) for name in names]
        monkeypatch.setattr(overlays, "fontManager", SimpleNamespace(ttflist=installed))
        overlays._family_with.cache_clear()

    yield install
    overlays._family_with.cache_clear()


@pytest.mark.parametrize(
    "name", ["sample-１_600倍(x600).tif", "試料 $1$ 再結晶.tif", "a\U0001f52c.tif", "Grüße µm.tif"]
)
def test_any_name_is_drawn_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        add_legend(np.zeros((10, 600, 3), np.uint8), ENTRIES, caption=name)


def test_what_no_font_has_is_written_so_that_names_differ(fonts):
    fonts("Last Resort High-Efficiency")
    assert drawable("試料1 µm.tif")[0] == "\\u8a66\\u65991 µm.tif"
    assert drawable("測料1 µm.tif")[0] != drawable("試料1 µm.tif")[0]


def test_a_font_that_has_the_characters_is_taken(fonts, monkeypatch):
    fonts("Adobe Blank", "Gothic")
    whole = overlays._characters
    monkeypatch.setattr(overlays, "_characters", lambda path: whole(path) - {ord("y")} if not asked else whole(path))
    asked = []
    missing = frozenset({ord("y")})
    assert overlays._family_with(missing) is None
    asked.append(1)
    overlays._family_with.cache_clear()
    assert overlays._family_with(missing) == "Gothic"
