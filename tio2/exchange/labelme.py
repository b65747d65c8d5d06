"""LabelMe: one JSON file an image, beside it or in a folder of its own."""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tio2.exchange.outlines import simple_outlines
from tio2.exchange.shapes import Bitmap, Ellipse, Polygon, Shape, rectangle, ring
from tio2.exchange.source import Account, ExchangeError, ImageFolder, SourceImage, SourceParticle
from tio2.structures.json_files import read_json
from tio2.structures.masks import CroppedMasks
from tio2.structures.states import STATES

_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(folder: Path, images: ImageFolder, account: Account) -> Iterator[SourceImage]:
    """Images of the JSON files below a folder with their polygons, rectangles, circles and masks.

    Shapes of one label and one group_id make one particle. The state comes from the label, or from a flag of a state's
    name that is set.

    Raises:
        ExchangeError: the folder holds no LabelMe file.
    """
    files = [path for path in sorted(folder.rglob("*.json")) if not path.name.startswith(".")]
    listed, read = set(), 0
    for path in files:
        try:
            data = read_json(path, ExchangeError)
        except ExchangeError as error:
            account.note("annotation files left out, they cannot be read", str(error))
            continue
        if not (isinstance(data, Mapping) and isinstance(data.get("shapes"), list)):
            account.note("JSON files left out, not LabelMe's", path.name)
            continue
        read += 1
        name = str(data.get("imagePath") or path.with_suffix("").name)
        found = images.find(name) or images.find_stem(path.stem)
        image = SourceImage(found, images.name_of(found) if found else name, size=_size(data))
        image.particles.extend(_particles(data["shapes"], image.name, account))
        listed.add(found)
        yield image
    if not read:
        raise ExchangeError(f"{folder}: holds no LabelMe file; give the folder of the JSON files")
    for path in sorted(set(images.files) - listed):
        account.note("images left out, without an annotation file", images.name_of(path))


def labelme_shape(data: Mapping[str, Any]) -> Shape | None:
    """Shape of an entry of `shapes`; None where it has no area.

    Raises:
        ShapeError: it cannot be drawn.
        KeyError, ValueError, TypeError: it is not what LabelMe writes.
    """
    kind = data.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        return None
    points = np.array(data["points"], np.float64).reshape(-1, 2)
    if kind == "polygon" or (len(points) == 4 and kind in ("rectangle", "rotation")):
        return Polygon((ring(points[:, 0], points[:, 1]),))
    (x1, y1), (x2, y2) = points
    if kind == "rectangle":
        return rectangle(x1, y1, x2, y2)
    if kind == "circle":  # the centre, and a point on the circle
        radius = math.hypot(x2 - x1, y2 - y1)
        return Ellipse((x1, y1), (radius, radius))
    if kind == "mask":  # the first and the last pixel, and a PNG of what lies between
        png = np.frombuffer(base64.b64decode(data["mask"]), np.uint8)
        crop = cv2.imdecode(png, cv2.IMREAD_GRAYSCALE)
        if crop is None:
            raise ValueError("its mask is no PNG")
        return Bitmap(crop, (round(min(y1, y2)), round(min(x1, x2))))
    raise ValueError(f"shape_type {kind!r}")


def labelme_file(record: Mapping[str, Any], masks: CroppedMasks, states: Sequence[str | None]) -> dict[str, Any]:
    """Annotations of one image in LabelMe's form, to look at and correct there.

    Each piece of a particle is a polygon along its pixels' edges, holes cut open by a slit; pieces of one share a
    group_id.
    """
    shapes = [
        {
            "label": state or "particle",
            "points": outline.tolist(),
            "group_id": number,
            "shape_type": "polygon",
            "flags": {},
        }
        for number, ((crop, origin), state) in enumerate(zip(masks, states, strict=True), start=1)
        for outline in simple_outlines(crop, origin)
    ]
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": record["file_name"],
        "imageData": None,
        "imageHeight": record["height"],
        "imageWidth": record["width"],
    }


def _particles(entries: Sequence[Any], name: str, account: Account) -> list[SourceParticle]:
    groups: dict[Any, list[SourceParticle]] = {}
    for number, entry in enumerate(entries, start=1):
        place = f"shape {number}"
        with account.tolerate(f"{name}: {place}"):
            shape, label = labelme_shape(entry), entry.get("label")
            if shape is None:
                account.note(f"annotations left out, a {entry['shape_type']} has no area", f"{name}: {place}")
                continue
            flags = entry.get("flags") or {}
            label = next((flag for flag in STATES if flags.get(flag) is True), label)
            part = SourceParticle(place, (shape,), None if label in (None, "") else str(label))
            group = entry.get("group_id")
            groups.setdefault(place if group is None else (label, group), []).append(part)
    return [
        SourceParticle(parts[0].name, sum((part.shapes for part in parts), ()), parts[0].label)
        for parts in groups.values()
    ]


def _size(data: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = data.get("imageHeight"), data.get("imageWidth")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
