"""Turns a page's requests, once checked, into operations on outlines; lets a network draw outlines in boxes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsize.correcting.operations import Corrections, Operation
from semsize.correcting.shapes import MOST_POINTS, CorrectionError, ellipse_mask, polygon_mask, stroke_mask
from semsize.measuring.engines import check_model, find_detector
from semsize.measuring.inputs import DetectorRequest, MeasuringError
from semsize.measuring.outlines import BoxSource, FillBox, OutlineSource
from semsize.structures.files import is_number
from semsize.structures.masks import Placed

KINDS = ("delete", "merge", "state", "particle", "polygon", "ellipse", "split", "push")
"""Kinds of requests for `operation_of`; `BoxFiller` answers those of the kind `box`."""

MOST_IDS = 100_000
"""Most outlines that one request may name."""

LEAST_BOX_PX = 4.0
"""Shortest side of a box that a network is to fill."""

LEAST_FILLED = 0.1
"""Least share of a box that an outline in it fills; true particles fill a fifth and more."""

MOST_WAITING = 4
"""Most boxes that may be in work or wait at a time."""


def operation_of(
    request: Mapping[str, Any], corrections: Corrections, rows: tuple[int, int] | None = None
) -> Operation:
    """The operation that a request asks for; nothing is changed.

    Args:
        request: `kind`, and with it, in pixels x, y:
            `delete`, `merge`: `ids`;
            `state`: `ids` and `state`, one of `STATES` or null;
            `particle`: `ids` and `is_particle`;
            `polygon`: `points`; `ellipse`: `center`, `radii`, `angle` in degrees;
            `split`: `id` and `points` of a line; `push`: `id`, `points` and `radius` of the brush, and `adds`.
        corrections: the outlines of the image.
        rows: the first measured row, and the row below the last; None: all are measured.

    Raises:
        CorrectionError: the request is malformed or cannot be done; one line.

    >>> operation_of({"kind": "delete", "ids": [7]}, Corrections((4, 4), {}, 1))
    Traceback (most recent call last):
    ...
    semsize.correcting.shapes.CorrectionError: there is no outline 7 in this image; load the image anew
    """
    shape = corrections.image_shape
    match request.get("kind"):
        case "delete":
            return corrections.delete(_ids(request))
        case "merge":
            return corrections.merge(_ids(request))
        case "state":
            state = request.get("state")
            return corrections.restate(_ids(request), state if isinstance(state, str | None) else "")
        case "particle":
            return corrections.mark(_ids(request), is_particle=_flag(request, "is_particle"))
        case "polygon":
            return corrections.add(_measured(polygon_mask(_points(request), shape), rows))
        case "ellipse":
            center, radii, angle = request.get("center"), request.get("radii"), request.get("angle", 0.0)
            if not (_is_pair(center) and _is_pair(radii) and is_number(angle)):
                raise CorrectionError("an ellipse has a centre, two half axes and an angle; draw it again")
            return corrections.add(_measured(ellipse_mask(center, radii, shape, angle), rows))
        case "split":
            return corrections.split(_id(request.get("id")), _points(request))
        case "push":
            radius = request.get("radius")
            brush = stroke_mask(_points(request), radius if is_number(radius) else 0.0, shape)
            return corrections.push(_id(request.get("id")), brush, adds=_flag(request, "adds"))
    raise CorrectionError(f"a change must be one of {', '.join(KINDS)}; load the page anew")


def _measured(mask: Placed, rows: tuple[int, int] | None) -> Placed:
    """Return the mask; raise CorrectionError if it lies wholly outside the measured rows."""
    crop, (row, _) = mask
    if rows is not None and not (row < rows[1] and row + crop.shape[0] > rows[0]):
        raise CorrectionError(f"only rows {rows[0]} to {rows[1]} are measured; draw an outline there")
    return mask


def box_of(request: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """The box x1, y1, x2, y2 of a request of the kind `box`, at least `LEAST_BOX_PX` wide and high.

    Raises:
        CorrectionError: the request does not hold two corners, or the box is too small.

    >>> box_of({"kind": "box", "points": [[30, 8], [10, 20]]})
    (10.0, 8.0, 30.0, 20.0)
    """
    points = _points(request)
    if len(points) != 2:
        raise CorrectionError("a box has two corners; draw it again")
    (left, right), (top, bottom) = (sorted(map(float, values)) for values in zip(*points, strict=True))
    if min(right - left, bottom - top) < LEAST_BOX_PX:
        raise CorrectionError(f"a box must be at least {LEAST_BOX_PX:g} px wide and high; draw it around a particle")
    return left, top, right, bottom


class BoxFiller:
    """Draws outlines in boxes; its methods may be called from several threads."""

    def __init__(self, find: Callable[[], OutlineSource]):
        """Keep the source; the model is loaded when the first box is drawn.

        Args:
            find: returns the source that draws.
        """
        self._find = find
        self._turn, self._places = threading.Lock(), threading.BoundedSemaphore(MOST_WAITING)
        self._fill: FillBox | None = None
        self._name = ""

    @classmethod
    def of_model(cls, model: str | None) -> BoxFiller:
        """Take the model that ships under a name, or an archive's file; None: the default, by the fastest engine.

        Raises:
            MeasuringError: there is no such model.
        """
        if model is not None:
            check_model(model)
        return cls(lambda: find_detector(DetectorRequest(model=model))[0])

    def fill(self, grey: np.ndarray, box: Sequence[float]) -> tuple[Placed, str]:
        """Draw the particle in a box of grey levels (H, W); return its mask and the name of what drew it.

        Raises:
            CorrectionError: there is no network, it draws less than `LEAST_FILLED` of the box, nothing of the box lies
                in the image, or too many boxes wait.
        """
        (height, width), (left, top, right, bottom) = grey.shape, box
        if not (left < width and top < height and right > 0 and bottom > 0):
            raise CorrectionError("the box holds nothing of the image; draw it around a particle")
        if not self._places.acquire(blocking=False):
            raise CorrectionError("the network is busy with other boxes; draw this one again in a moment")
        try:
            with self._turn:
                if self._fill is None:
                    self._load()
                mask = self._fill(grey, box)
        except MeasuringError as cause:
            raise CorrectionError(str(cause)) from None
        finally:
            self._places.release()
        box_px = (min(right, width) - max(left, 0)) * (min(bottom, height) - max(top, 0))
        if mask[0].sum() < LEAST_FILLED * box_px or not mask[0].size:
            raise CorrectionError("the network sees no particle in this box; draw the outline by hand")
        return mask, self._name

    def _load(self) -> None:
        try:
            source = self._find()
            if not isinstance(source, BoxSource):
                raise CorrectionError("the engine that is installed draws no outline in a box; draw it by hand")
            record: dict[str, Any] = source.as_record()
            self._fill = source.open_boxes()
        except MeasuringError as cause:
            raise CorrectionError(f"no network fills boxes here: {cause}") from None
        self._name = f"{Path(record['path']).name} in a box, SHA-256 {record['sha256']}"


def _ids(request: Mapping[str, Any]) -> list[int]:
    ids = request.get("ids")
    if not isinstance(ids, list) or len(ids) > MOST_IDS:
        raise CorrectionError(f"a change must name its outlines, at most {MOST_IDS}; select them again")
    return [_id(number) for number in ids]


def _id(value: Any) -> int:
    if type(value) is not int:
        raise CorrectionError("an outline is named by its number; select it again")
    return value


def _flag(request: Mapping[str, Any], name: str) -> bool:
    value = request.get(name)
    if type(value) is not bool:
        raise CorrectionError(f"{name} must be true or false; load the page anew")
    return value


def _points(request: Mapping[str, Any]) -> list[list[float]]:
    points = request.get("points")
    if not isinstance(points, list) or len(points) > MOST_POINTS or not all(map(_is_pair, points)):
        raise CorrectionError(f"a line must be a list of at most {MOST_POINTS} points x, y; draw it again")
    return points


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))
