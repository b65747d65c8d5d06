"""What a page asks for, checked and bounded, as an operation on the outlines of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from semsize.correcting.operations import Corrections, Operation
from semsize.correcting.shapes import MOST_POINTS, CorrectionError, ellipse_mask, polygon_mask, stroke_mask
from semsize.structures.files import is_number

MOST_IDS = 100_000
"""Outlines that one request may name."""

LEAST_BOX_PX = 4.0
"""Of a side of a box that a network is to fill."""


def operation_of(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    """The operation that a request asks for; nothing is changed.

    Args:
        request: `kind`, and with it, in pixels x, y:
            `delete`, `merge`: `ids`;
            `state`: `ids` and `state`, one of `STATES` or null;
            `particle`: `ids` and `is_particle`;
            `polygon`: `points`; `ellipse`: `center`, `radii`, `angle` in degrees;
            `split`: `id` and `points` of a line; `push`: `id`, `points` and `radius` of the brush, and `adds`.
        corrections: the outlines of the image.

    Raises:
        CorrectionError: it asks for something else, or for what cannot be done; one line.

    >>> operation_of({"kind": "delete", "ids": [7]}, Corrections((4, 4), {}, 1))
    Traceback (most recent call last):
    ...
    semsize.correcting.shapes.CorrectionError: there is no outline 7 in this image; load the image anew
    """
    kind = request.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CorrectionError(f"a change is one of {', '.join(_KINDS)}; load the page anew")
    return _KINDS[kind](request, corrections)


def box_of(request: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """The box x1, y1, x2, y2, `LEAST_BOX_PX` wide and high, that a request of the kind `box` names by two corners.

    Raises:
        CorrectionError: it names none, or one that is too small.

    >>> box_of({"kind": "box", "points": [[30, 8], [10, 20]]})
    (10.0, 8.0, 30.0, 20.0)
    """
    points = _points(request)
    if len(points) != 2:
        raise CorrectionError("a box has two corners; draw it again")
    (left, right), (top, bottom) = (sorted(map(float, values)) for values in zip(*points, strict=True))
    if min(right - left, bottom - top) < LEAST_BOX_PX:
        raise CorrectionError(f"a box is {LEAST_BOX_PX:g} px wide and high or more; draw it around a particle")
    return left, top, right, bottom


def _delete(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    return corrections.delete(_ids(request))


def _merge(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    return corrections.merge(_ids(request))


def _state(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    state = request.get("state")
    return corrections.restate(_ids(request), state if isinstance(state, str | None) else "")


def _particle(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    return corrections.mark(_ids(request), is_particle=_flag(request, "is_particle"))


def _polygon(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    return corrections.add(polygon_mask(_points(request), corrections.image_shape))


def _ellipse(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    center, radii, angle = request.get("center"), request.get("radii"), request.get("angle", 0.0)
    if not (_is_pair(center) and _is_pair(radii) and is_number(angle)):
        raise CorrectionError("an ellipse has a centre, two half axes and an angle; draw it again")
    return corrections.add(ellipse_mask(center, radii, corrections.image_shape, angle))


def _split(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    return corrections.split(_id(request.get("id")), _points(request))


def _push(request: Mapping[str, Any], corrections: Corrections) -> Operation:
    radius = request.get("radius")
    brush = stroke_mask(_points(request), radius if is_number(radius) else 0.0, corrections.image_shape)
    return corrections.push(_id(request.get("id")), brush, adds=_flag(request, "adds"))


_KINDS: dict[str, Callable[[Mapping[str, Any], Corrections], Operation]] = {
    "delete": _delete,
    "merge": _merge,
    "state": _state,
    "particle": _particle,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "split": _split,
    "push": _push,
}


def _ids(request: Mapping[str, Any]) -> list[int]:
    ids = request.get("ids")
    if not isinstance(ids, list) or len(ids) > MOST_IDS:
        raise CorrectionError(f"a change names its outlines, at most {MOST_IDS}; select them again")
    return [_id(number) for number in ids]


def _id(value: Any) -> int:
    if type(value) is not int:
        raise CorrectionError("an outline is named by its number; select it again")
    return value


def _flag(request: Mapping[str, Any], name: str) -> bool:
    value = request.get(name)
    if type(value) is not bool:
        raise CorrectionError(f"{name} is true or false; load the page anew")
    return value


def _points(request: Mapping[str, Any]) -> list[list[float]]:
    points = request.get("points")
    if not isinstance(points, list) or len(points) > MOST_POINTS or not all(map(_is_pair, points)):
        raise CorrectionError(f"a line is a list of points x, y, at most {MOST_POINTS}; draw it again")
    return points


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))
