"""Read polygons from JSON in any nesting that programs write; refuse everything else with the reason.

COCO writes a particle as a list of flat lists, [[x, y, x, y, …], …]. Other programs write pairs [x, y], points
{"x": …, "y": …}, OpenCV's contours [[x, y]], an outline and its holes as one list, or a superfluous outer list.
The depth and the lengths of the innermost lists tell the forms apart, before anything is put into an array.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

FARTHEST_PX = 1e7  # largest coordinate; a larger one is a mistake or a damaged file
_DEEPEST = 8  # most levels of nested lists that are read
_LISTS_OF = {"x": "y", "all_points_x": "all_points_y"}


class ShapeError(ValueError):
    """A shape that cannot be drawn; the message continues the words "annotations left out, "."""


def number(value: Any) -> float:
    """Read a coordinate or a length from JSON: a number, or a number as text.

    Raises:
        ShapeError: the value is not a number, not finite, or beyond FARTHEST_PX.
    """
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= FARTHEST_PX:
        raise ShapeError("a coordinate is not a number, or far outside any image")
    return found


def ring(x: Any, y: Any) -> np.ndarray:
    """Read corners (K, 2) float64 from a list of x and a list of y.

    Raises:
        ShapeError: x and y are not two equally long lists of numbers.
    """
    if not (isinstance(x, list | tuple) and isinstance(y, list | tuple) and len(x) == len(y)):
        raise ShapeError("their coordinates are not two equally long lists of numbers")
    if any(isinstance(value, list | tuple | Mapping) for value in (*x, *y)):
        raise ShapeError("their coordinates are not two equally long lists of numbers")
    return np.array([[number(a), number(b)] for a, b in zip(x, y, strict=True)], np.float64).reshape(-1, 2)


def points(value: Any) -> np.ndarray:
    """Read corners (K, 2) float64, K >= 1, of one open or closed line, in any form of `polygons`.

    Raises:
        ShapeError: the value has none of these forms, or holds more than one line.
    """
    found = _polygons(value)
    if len(found) != 1 or len(found[0]) != 1:
        raise ShapeError("their points are not a list of pairs x, y")
    return found[0][0]


def polygons(value: Any) -> list[list[np.ndarray]]:
    """Read the polygons of a particle; each is a list of rings (K, 2) float64: its outline, then its holes.

    Args:
        value: flat [x, y, …]; COCO's [flat, …]; pairs [[x, y], …]; OpenCV's contour [[[x, y]], …]; rings in any of
            these forms as one list, the outline first, or a list of such lists; any of these in a superfluous list;
            {"x": [...], "y": [...]}.

    Raises:
        ShapeError: the value has none of these forms, or mixes two; the message says why.

    >>> [[ring.tolist() for ring in rings] for rings in polygons([[0, 0, 4, 0, 4, 3]])]
    [[[[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]]]]
    """
    found = _polygons(value)
    if any(len(corners) < 3 for rings in found for corners in rings):
        raise ShapeError("they have fewer than three corners")
    return found


def _polygons(value: Any) -> list[list[np.ndarray]]:
    """Read polygons as `polygons` does, but with any number of corners."""
    if isinstance(value, Mapping):
        for x, y in _LISTS_OF.items():
            if x in value and y in value:
                return [[ring(value[x], value[y])]]
        raise ShapeError("their outline is in no form that is known")
    tree, depth = _tree(value)
    if depth == 1:
        return [[_flat(tree)]]
    widths = {len(leaf) for leaf in _leaves(tree, depth)}
    if 2 in widths and len(widths) > 1:
        raise ShapeError("their lists mix pairs and flat lists of coordinates")
    deepest = 4 if widths == {2} else 3
    while depth > deepest and len(tree) == 1:
        tree, depth = tree[0], depth - 1
    if depth > deepest:
        raise ShapeError(f"their lists are nested {depth} deep, which no form of outline is")
    if widths == {2}:
        return _of_pairs(tree, depth)
    groups = [[flat] for flat in tree] if depth == 2 else tree
    return [[_flat(flat) for flat in rings] for rings in groups]


def _of_pairs(tree: list, depth: int) -> list[list[np.ndarray]]:
    """Read polygons from pairs [x, y] that are nested 2, 3 or 4 deep."""
    if depth == 2:
        return [[np.array(tree, np.float64)]]
    if depth == 3 and all(len(point) == 1 for point in tree):
        return [[np.array([point[0] for point in tree], np.float64)]]
    if depth == 3:
        return [[np.array(pairs, np.float64) for pairs in tree]]
    if all(len(point) == 1 for contour in tree for point in contour):
        return [[np.array([point[0] for point in contour], np.float64) for contour in tree]]
    return [[np.array(pairs, np.float64) for pairs in rings] for rings in tree]


def _flat(values: list[float]) -> np.ndarray:
    if len(values) % 2:
        raise ShapeError("they have an odd number of coordinates")
    return np.array(values, np.float64).reshape(-1, 2)


def _leaves(tree: list, depth: int) -> list[list[float]]:
    """Return the innermost lists of nested lists."""
    return tree if depth == 2 else [leaf for branch in tree for leaf in _leaves(branch, depth - 1)]


def _tree(value: Any, level: int = 1) -> tuple[list, int]:
    """Return nested lists of floats, and how deep they are nested; points {"x": …, "y": …} become pairs.

    Raises:
        ShapeError: a list is empty, or deeper in one place than in another, or a value is not a number.
    """
    if not isinstance(value, list | tuple):
        raise ShapeError("their outline is no list")
    if not value:
        raise ShapeError("a list of coordinates is empty")
    if level > _DEEPEST:
        raise ShapeError(f"their lists are nested more than {_DEEPEST} deep, which no form of outline is")
    children = [_pair(child) if isinstance(child, Mapping) else child for child in value]
    nested = [isinstance(child, list | tuple) for child in children]
    if not any(nested):
        return [number(child) for child in children], 1
    if not all(nested):
        raise ShapeError("their lists are deeper in one place than in another")
    branches = [_tree(child, level + 1) for child in children]
    depths = {depth for _, depth in branches}
    if len(depths) > 1:
        raise ShapeError("their lists are deeper in one place than in another")
    return [branch for branch, _ in branches], depths.pop() + 1


def _pair(point: Mapping[str, Any]) -> list[Any]:
    if {"x", "y"} <= point.keys() and not isinstance(point["x"], list | tuple):
        return [point["x"], point["y"]]
    raise ShapeError("their outline is in no form that is known")
