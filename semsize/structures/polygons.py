"""Polygons as JSON files hold them, in any nesting: read as the outlines that they are, or refused with the reason.

COCO writes a particle as a list of flat lists, [[x, y, x, y, …], …]. Other programs write pairs [x, y], points
{"x": …, "y": …}, OpenCV's contours [[x, y]], an outline with its holes in a list of their own, or a list too many.
Each form is recognised by its depth and by the lengths of its innermost lists, before anything is put into an array.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

FARTHEST_PX = 1e7  # from the image's corner: what lies beyond is a slip or a damaged file
_DEEPEST = 8  # lists within lists that are looked into
_LISTS_OF = {"x": "y", "all_points_x": "all_points_y"}


class ShapeError(ValueError):
    """A shape that cannot be drawn; the message goes on from "annotations left out, "."""


def number(value: Any) -> float:
    """A coordinate or a length from JSON: a number, or a number as text.

    Raises:
        ShapeError: it is something else, not finite, or beyond FARTHEST_PX.
    """
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= FARTHEST_PX:
        raise ShapeError("a coordinate is not a number, or far outside any image")
    return found


def ring(x: Any, y: Any) -> np.ndarray:
    """Corners (K, 2) float64 from the lists of their coordinates.

    Raises:
        ShapeError: they are not two equally long lists of numbers.
    """
    if not (isinstance(x, list | tuple) and isinstance(y, list | tuple) and len(x) == len(y)):
        raise ShapeError("their coordinates are not two equally long lists of numbers")
    if any(isinstance(value, list | tuple | Mapping) for value in (*x, *y)):
        raise ShapeError("their coordinates are not two equally long lists of numbers")
    return np.array([[number(a), number(b)] for a, b in zip(x, y, strict=True)], np.float64).reshape(-1, 2)


def points(value: Any) -> np.ndarray:
    """Corners (K, 2) float64 of one open or closed line, K from 1: a list of pairs, flat, or a contour of OpenCV's.

    Raises:
        ShapeError: it is another list, or more lines than one.
    """
    found = _polygons(value)
    if len(found) != 1 or len(found[0]) != 1:
        raise ShapeError("their points are not a list of pairs x, y")
    return found[0][0]


def polygons(value: Any) -> list[list[np.ndarray]]:
    """The polygons of a particle: each is a list of rings (K, 2) float64, an outline and what lies within it (holes).

    Args:
        value: flat [x, y, …]; COCO's [flat, …]; pairs [[x, y], …]; OpenCV's contour [[[x, y]], …]; lists of pairs or of
            contours, the first one the outline; lists of flat ones in a list of their own; the same with a list too
            many around it; {"x": [...], "y": [...]}.

    Raises:
        ShapeError: it has none of these forms, or could have two; the message says why.

    >>> [[ring.tolist() for ring in rings] for rings in polygons([[0, 0, 4, 0, 4, 3]])]
    [[[[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]]]]
    """
    found = _polygons(value)
    if any(len(corners) < 3 for rings in found for corners in rings):
        raise ShapeError("they have fewer than three corners")
    return found


def _polygons(value: Any) -> list[list[np.ndarray]]:
    """Rings of any number of corners; see `polygons`."""
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
    """Polygons of innermost lists [x, y] at a depth of 2, 3 or 4."""
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
    """The innermost of lists in lists."""
    return tree if depth == 2 else [leaf for branch in tree for leaf in _leaves(branch, depth - 1)]


def _tree(value: Any, level: int = 1) -> tuple[list, int]:
    """Nested lists of floats, and how deep they are nested; points {"x": …, "y": …} become pairs.

    Raises:
        ShapeError: a list is empty, deeper in one place than in another, or holds what is no number.
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
