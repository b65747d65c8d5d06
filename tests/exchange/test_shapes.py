import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.path import Path as Outline

from semsize.exchange.shapes import (
    Bitmap,
    Ellipse,
    Polygon,
    crosses_itself,
    leaves,
    mask_polygons,
    polygon_shapes,
    rasterise,
    rectangle,
    ring_area,
    simple_polygons,
    union,
)
from semsize.structures.polygons import ShapeError, points, ring

FRAME = (30, 40)


def full(placed, image_shape=FRAME):
    crop, (row, column) = placed
    frame = np.zeros(image_shape, np.uint8)
    frame[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
    return frame


def pixels(*shapes):
    return full(union(shapes, FRAME))


def polygon(*corners):
    return Polygon((np.array(corners, np.float64),))


def test_a_rectangle_covers_the_centres_in_it():
    expected = np.zeros(FRAME, np.uint8)
    expected[3:7, 2:5] = 1
    for shape in (rectangle(2, 3, 5, 7), rectangle(1.6, 2.6, 5.4, 7.4), rectangle(5, 7, 2, 3)):
        np.testing.assert_array_equal(pixels(shape), expected)
    assert pixels(rectangle(2.6, 3, 3.4, 7)).sum() == 0, "no centre between 2.6 and 3.4"


def test_tiles_with_edges_through_centres_neither_overlap_nor_gape():
    cuts_x, cuts_y = [0, 3.5, 10, 20.5, 40], [0, 7.5, 11, 30]
    tiles = [rectangle(x1, y1, x2, y2) for x1, x2 in pairwise(cuts_x) for y1, y2 in pairwise(cuts_y)]
    np.testing.assert_array_equal(sum(pixels(tile) for tile in tiles), np.ones(FRAME))


corner = st.tuples(st.floats(-5, 45, allow_subnormal=False), st.floats(-5, 35, allow_subnormal=False))


@settings(deadline=None)
@given(st.lists(corner, min_size=3, max_size=3))
def test_a_triangle_is_what_matplotlib_takes_for_it(corners):
    rows, columns = np.mgrid[: FRAME[0], : FRAME[1]]
    centres = np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5
    corners = np.array(corners)
    assume(abs(ring_area(corners)) > 0.1)
    edges = np.roll(corners, -1, axis=0) - corners  # (3, 2)
    towards = centres[:, None] - corners  # (P, 3, 2)
    across = np.abs(edges[:, 0] * towards[..., 1] - edges[:, 1] * towards[..., 0])
    clear = (across > 1e-6 * np.linalg.norm(edges, axis=1)).all(axis=1)  # of centres on an outline nobody can say
    expected = Outline(corners).contains_points(centres)
    np.testing.assert_array_equal(pixels(Polygon((corners,))).ravel()[clear], expected[clear])


def test_a_turned_ellipse_has_its_area_and_extent():
    ellipse = Ellipse((20.3, 15.1), (12.0, 5.0), math.radians(30))
    mask = pixels(ellipse)
    assert mask.sum() == pytest.approx(math.pi * 60, rel=0.02)
    rows, columns = np.nonzero(mask)
    assert np.cov(columns, rows)[0, 1] > 0, "clockwise on the screen: x and y grow together"
    x1, y1, x2, y2 = ellipse.bounds
    assert (x1 <= columns.min() + 0.5) & (columns.max() + 0.5 <= x2)
    assert (y1 <= rows.min() + 0.5) & (rows.max() + 0.5 <= y2)


@settings(deadline=None)
@given(st.floats(0, math.pi), st.floats(1, 12), st.floats(1, 12))
def test_an_ellipse_is_its_polygon_of_many_corners(angle, a, b):
    t = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    x, y = a * np.cos(t), b * np.sin(t)
    corners = np.stack(
        [20.3 + x * np.cos(angle) - y * np.sin(angle), 15.1 + x * np.sin(angle) + y * np.cos(angle)], axis=1
    )
    assert np.abs(pixels(Ellipse((20.3, 15.1), (a, b), angle)) - pixels(Polygon((corners,))).astype(int)).sum() <= 1


def test_rings_join_or_cut_holes():
    outer, inner = rectangle(2, 2, 12, 12).rings[0], rectangle(5, 5, 8, 8).rings[0]
    assert pixels(Polygon((outer, inner))).sum() == 100
    assert pixels(Polygon((outer, inner), with_holes=True)).sum() == 91


def test_an_outline_that_crosses_itself_fills_both_lobes():
    bow_tie = polygon((2, 2), (12, 12), (12, 2), (2, 12))
    assert pixels(bow_tie).sum() == pytest.approx(50, abs=10)
    star = np.array([(15 + 10 * math.sin(a), 15 - 10 * math.cos(a)) for a in np.arange(5) * 4 * math.pi / 5])
    assert pixels(Polygon((star,)))[15, 15], "wound twice is inside"
    assert crosses_itself(bow_tie.rings[0])
    assert crosses_itself(star)


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (4, 0), (4, 4), (0, 4)],
        [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)],  # closed by hand
        [(0, 0), (4, 0), (4, 4), (4, 4), (0, 4)],  # a corner twice
        [(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2)],  # touches itself
        [(0, 0), (4, 0), (2, 0), (2, 3)],  # lies on itself
        [(0, 0), (1, 1)],
    ],
)
def test_an_outline_that_only_touches_itself_does_not_cross(corners):
    assert not crosses_itself(np.array(corners, np.float64))


@settings(deadline=None)
@given(st.integers(5, 400), st.integers(0, 10**6), st.booleans())
def test_crossings_are_found_wherever_they_are(count, seed, swapped):
    rng = np.random.default_rng(seed)
    angles = (np.arange(count) + rng.random(count) * 0.9) * 2 * np.pi / count
    star_shaped = rng.uniform(5, 9, count)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if swapped:  # two neighbours change places: their edges cross, or lie beyond each other at a very flat corner
        star_shaped[[1, 2]] = star_shaped[[2, 1]]
    else:
        assert not crosses_itself(star_shaped)
    assert crosses_itself(star_shaped) == crosses_by_pairs(star_shaped)


def crosses_by_pairs(corners):
    """Each pair of edges, one at a time."""

    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    edges = list(zip(corners, np.roll(corners, -1, axis=0), strict=True))[: 40 if len(corners) > 40 else None]
    return any(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for i, (a, b) in enumerate(edges)
        for c, d in edges[:i]
    )


@settings(deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)))
def test_a_mask_and_its_outlines_are_the_same(mask):
    rings = mask_polygons(mask, (3, 5))
    assert sum(map(ring_area, rings)) == mask.sum()
    assert not any(crosses_itself(outline) for outline in rings)
    if rings:
        expected = np.zeros(FRAME, np.uint8)
        expected[3 : 3 + mask.shape[0], 5 : 5 + mask.shape[1]] = mask
        np.testing.assert_array_equal(pixels(Polygon(tuple(rings), with_holes=True)), expected)
        slit = simple_polygons(mask, (3, 5))
        np.testing.assert_array_equal(pixels(Polygon(tuple(slit))), expected)
        assert not any(map(crosses_itself, slit))
        assert len(slit) == sum(ring_area(outline) > 0 for outline in rings)


def test_pieces_have_their_own_outlines_and_holes_run_backwards():
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    rings = mask_polygons(mask, (0, 0))
    assert sorted(map(ring_area, rings)) == [-1, 1, 9]
    assert all(len(outline) == 4 for outline in rings)
    assert sorted(map(ring_area, simple_polygons(mask, (0, 0)))) == [1, 8]


def test_what_leaves_the_image_is_cut():
    shape = rectangle(-5, -5, 3, 2)
    assert leaves(shape, FRAME)
    assert pixels(shape).sum() == 6
    assert not leaves(rectangle(0, 0, 40, 30), FRAME)
    assert not leaves(rectangle(-0.4, 0, 40.4, 30), FRAME), "a click beside the border"
    assert leaves(rectangle(0, 0, 41, 30), FRAME)
    assert rasterise(rectangle(1e9, 1e9, 2e9, 2e9), FRAME)[0].size == 0
    assert pixels(rectangle(-1e9, -1e9, 1e9, 1e9)).all(), "no array of that size is made"
    assert pixels(Bitmap(np.ones((4, 4), np.uint8), (28, -2))).sum() == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: polygon((0, 0), (1, 1)), "fewer than three corners"),
        (lambda: polygon((0, 0), (1, math.nan), (2, 2)), "is not a number"),
        (lambda: Polygon(()), "no outline"),
        (lambda: ring([1, 2, 3], [1, 2]), "two equally long lists"),
        (lambda: ring([[1, 2], [3, 4]], [[5, 6], [7, 8]]), "two equally long lists"),
        (lambda: ring(5, 6), "two equally long lists"),
        (lambda: ring(["a", 2, 3], [1, 2, 3]), "is not a number"),
        (lambda: Ellipse((0, 0), (0, 1)), "radius"),
        (lambda: Ellipse((0, math.inf), (1, 1)), "is not a number"),
    ],
)
def test_what_is_no_shape_says_why(make, message):
    with pytest.raises(ShapeError, match=message):
        make()


def test_parts_make_one_particle():
    placed = union([rectangle(1, 1, 3, 3), rectangle(50, 50, 60, 60), rectangle(10, 10, 12, 12)], FRAME)
    assert placed[0].shape == (11, 11)
    assert full(placed).sum() == 8
    assert union([rectangle(50, 50, 60, 60)], FRAME)[0].size == 0


# --- nested lists -----------------------------------------------------------------------------------------------------

RING = [(2, 2), (20, 4), (18, 20), (9, 23), (3, 18), (1, 9)]  # six corners: as many as make every form possible
HOLE = [(8, 8), (12, 8), (12, 12), (8, 12)]
ISLAND = [(30, 3), (36, 3), (36, 9), (30, 9)]


def flat(ring):
    return [value for corner in ring for value in corner]


def pairs(ring):
    return [list(corner) for corner in ring]


def contour(ring):
    """OpenCV's (K, 1, 2)."""
    return [[list(corner)] for corner in ring]


def named(ring):
    return [{"x": x, "y": y} for x, y in ring]


ONE_RING = {
    "bare": flat(RING),
    "COCO": [flat(RING)],
    "a list too many": [[flat(RING)]],
    "two lists too many": [[[flat(RING)]]],
    "pairs": pairs(RING),
    "pairs in a list": [pairs(RING)],
    "pairs in two lists": [[pairs(RING)]],
    "contour": contour(RING),
    "contour in a list": [contour(RING)],
    "contour in two lists": [[contour(RING)]],
    "points of names": named(RING),
    "points of names in a list": [named(RING)],
    "x and y": {"x": [x for x, _ in RING], "y": [y for _, y in RING]},
    "tuples": tuple(RING),
    "numbers as text": [[str(value) for value in flat(RING)]],
    "closed": [flat([*RING, RING[0]])],
    "an odd number of pairs, closed": [pairs([*RING, RING[0]])],
}
RING_AND_HOLE = {
    "flat": [[flat(RING), flat(HOLE)]],
    "GeoJSON's polygon": [pairs(RING), pairs(HOLE)],
    "GeoJSON's multipolygon": [[pairs(RING), pairs(HOLE)]],
    "contours": [contour(RING), contour(HOLE)],
    "points of names": [named(RING), named(HOLE)],
}
TWO_PIECES = {
    "COCO": [flat(RING), flat(ISLAND)],
    "COCO, equally long": [flat(ISLAND), flat(HOLE)],
    "flat, a list too many": [[flat(RING), flat(ISLAND)]],
    "flat, a list each": [[flat(RING)], [flat(ISLAND)]],
    "pairs": [pairs(RING), pairs(ISLAND)],
    "multipolygon": [[pairs(RING)], [pairs(ISLAND)]],
    "contours": [contour(RING), contour(ISLAND)],
}


@pytest.mark.parametrize("form", ONE_RING)
def test_one_outline_in_any_nesting_is_the_same_outline(form):
    np.testing.assert_array_equal(pixels(*polygon_shapes(ONE_RING[form])), pixels(polygon(*RING)))


@pytest.mark.parametrize("form", RING_AND_HOLE)
def test_an_outline_with_its_hole(form):
    expected = pixels(polygon(*RING)) - pixels(polygon(*HOLE))
    np.testing.assert_array_equal(pixels(*polygon_shapes(RING_AND_HOLE[form])), expected)


@pytest.mark.parametrize("form", TWO_PIECES)
def test_two_pieces_of_a_particle(form):
    first = HOLE if "equally" in form else RING
    expected = pixels(polygon(*first)) | pixels(polygon(*ISLAND))
    np.testing.assert_array_equal(pixels(*polygon_shapes(TWO_PIECES[form])), expected)


circle = np.array([(20 + 9 * math.cos(t), 14 + 9 * math.sin(t)) for t in np.arange(24) * math.pi / 12])
REFUSED = {
    "nothing": ([], "a list of coordinates is empty"),
    "an empty piece": ([flat(RING), []], "a list of coordinates is empty"),
    "a text": ("[[1, 2, 3, 4, 5, 6]]", "no list"),
    "a number": (5, "no list"),
    "an odd number": ([flat(RING)[:-1]], "odd number"),
    "points with a third number": ([(*corner, 2) for corner in RING[:5]], "odd number"),
    "two corners": ([[1, 2, 3, 4]], "fewer than three corners"),
    "two lists of four": ([[1, 2, 3, 4], [5, 6, 7, 8]], "fewer than three corners"),
    "two pairs": ([[1, 2], [3, 4]], "fewer than three corners"),
    "one pair among the rings": ([pairs(RING), [[3, 4]]], "fewer than three corners"),
    "ragged": ([flat(RING), [flat(HOLE)]], "deeper in one place"),
    "numbers beside lists": ([flat(RING), 7], "deeper in one place"),
    "pairs beside flat": ([[1, 2], [3, 4, 5, 6, 7, 8]], "mix pairs and flat"),
    "without end": ([[[[[[[[[[1, 2, 3, 4, 5, 6]]]]]]]]]], "nested more than"),
    "flat, too deep": ([[[flat(RING)]], [[flat(HOLE)]]], "nested 4 deep"),
    "NaN": ([[math.nan, *flat(RING)[1:]]], "is not a number"),
    "infinite": ([[math.inf, *flat(RING)[1:]]], "is not a number"),
    "null": ([[None, *flat(RING)[1:]]], "is not a number"),
    "true": ([[True, *flat(RING)[1:]]], "is not a number"),
    "a word": ([["x", *flat(RING)[1:]]], "is not a number"),
    "endless digits": ([[10**400, *flat(RING)[1:]]], "is not a number"),
    "far away": ([[1e300, *flat(RING)[1:]]], "far outside"),
    "a hole that crosses": ([pairs(RING), pairs([(15, 8), (39, 8), (39, 12), (15, 12)])], "its hole cross"),
    "all x, then all y": (circle.T.tolist(), "the x and the y of one"),
    "an unknown record": ({"path": flat(RING)}, "no form that is known"),
    "unknown points": ([{"lat": 1, "lon": 2}] * 4, "no form that is known"),
    "x without y": ({"x": [1, 2, 3]}, "no form that is known"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_lists_that_are_no_outline_are_refused_with_the_reason(case):
    value, message = REFUSED[case]
    with pytest.raises(ShapeError, match=message):
        polygon_shapes(value)


nests = st.recursive(
    st.one_of(st.integers(-5, 60), st.floats(-5, 60), st.none(), st.booleans(), st.text(max_size=2)),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=30,
)


@given(nests)
def test_any_json_gives_an_outline_of_its_own_numbers_or_is_refused(value):
    try:
        found = polygon_shapes(value)
    except ShapeError:
        return
    numbers = np.concatenate([ring.ravel() for shape in found for ring in shape.rings])
    assert numbers.tolist() == [float(number) for number in leaves_of(value)], "each number once, in its order"


def leaves_of(value):
    return [leaf for child in value for leaf in leaves_of(child)] if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[1, 2]], [[1, 2]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([1, 2, 3, 4], [[1, 2], [3, 4]]),
        ([[1, 2, 3, 4]], [[1, 2], [3, 4]]),
        ([[[1, 2]], [[3, 4]]], [[1, 2], [3, 4]]),
        ([[[1, 2], [3, 4]]], [[1, 2], [3, 4]]),
        ([{"x": 1, "y": 2}, {"x": 3, "y": 4}], [[1, 2], [3, 4]]),
    ],
)
def test_points_of_one_line(value, expected):
    assert points(value).tolist() == expected


@pytest.mark.parametrize("value", [[[1, 2, 3], [4, 5, 6]], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[1, 2, 3]], []])
def test_what_is_no_line_of_points_is_refused(value):
    with pytest.raises(ShapeError):
        points(value)
