"""Reads and writes LabelMe's annotations: a JSON file for each image, beside it or in a folder of its own."""

import base64
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semsize.exchange.shapes import Bitmap, Ellipse, Polygon, Shape, rectangle, simple_polygons
from semsize.exchange.source import (
    Account,
    ExchangeError,
    SourceImage,
    Stated,
    files_below,
    grouped_particles,
    stated_size,
)
from semsize.exchange.which_picture import FoundPicture, ImageFolder, rivals
from semsize.sem import SEMReadError, read_grey
from semsize.structures.files import read_json
from semsize.structures.masks import CroppedMasks
from semsize.structures.polygons import ShapeError, points
from semsize.structures.states import STATES

ALIKE_LEVELS = 4  # mean difference of grey levels up to which an image is the one that LabelMe saved as JPEG
_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(folder: Path, images: ImageFolder, account: Account) -> Iterator[SourceImage]:
    """Yield the images of the JSON files below a folder with their polygons, rectangles, circles and masks.

    Shapes with the same label and group_id make one particle. A flag that is set and has the name of a state counts as
    the label.

    The image is found by `imagePath` or by the JSON file's own name. If these lead to two images, as after renaming,
    the stated size or the picture inside the JSON file decides; if neither does, the file is left out with both names.

    Raises:
        ExchangeError: the folder holds no LabelMe file.
    """
    read: list[tuple[Path, Mapping[str, Any]]] = []
    for path in files_below(folder, (".json",)):
        try:
            data = read_json(path, ExchangeError)
        except ExchangeError as error:
            account.note("annotation files left out, they cannot be read", str(error))
            continue
        if not (isinstance(data, Mapping) and isinstance(data.get("shapes"), list)):
            account.note("JSON files left out, not LabelMe's", path.name)
            continue
        read.append((path, data))
    if not read:
        raise ExchangeError(f"{folder}: holds no LabelMe file; give the folder of the JSON files")
    matches = _matches(read, folder, images, account)
    doubts = rivals(matches, [path.relative_to(folder).as_posix() for path, _ in read])
    listed = set()
    for (path, data), match, doubt in zip(read, matches, doubts, strict=True):
        name = images.name_of(match.path) if match.path else str(data.get("imagePath") or path.stem)
        image = SourceImage(match.path, name, size=stated_size(data.get("imageHeight"), data.get("imageWidth")))
        image.trouble, image.candidates = doubt or match.trouble, match.candidates
        if image.trouble is None:
            image.particles = grouped_particles(data["shapes"], "shape", _shape_and_label, image, account)
        listed |= {image.path, *image.candidates}
        yield image
    images.note_unused(listed, account, "without an annotation file")


def labelme_shape(data: Mapping[str, Any]) -> Shape | None:
    """Return the shape of an entry of `shapes`; None for types without an area.

    Raises:
        ShapeError: the shape cannot be drawn.
        KeyError, ValueError, TypeError: the entry is not what LabelMe writes.
    """
    kind = data.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        return None
    corners = points(data["points"])
    if kind == "polygon" or (len(corners) == 4 and kind in ("rectangle", "rotation")):
        return Polygon((corners,))
    if kind not in ("rectangle", "circle", "mask"):
        raise ShapeError("their shape_type is not one of LabelMe's")
    if len(corners) != 2:
        raise ShapeError(f"a {kind} has two points")
    (x1, y1), (x2, y2) = corners
    if kind == "rectangle":
        return rectangle(x1, y1, x2, y2)
    if kind == "circle":  # the centre, and a point on the circle
        radius = math.hypot(x2 - x1, y2 - y1)
        return Ellipse((x1, y1), (radius, radius))
    return _mask(data.get("mask"), corners)


def _mask(text: Any, corners: np.ndarray) -> Bitmap:
    """Decode a mask from a PNG in base64; `corners` are the first and the last pixel that it covers."""
    try:
        png = base64.b64decode("".join(text.split()), validate=True)
        width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    except (AttributeError, ValueError):
        raise ShapeError("their mask is no PNG in base64") from None
    extent = np.abs(corners[1] - corners[0])
    if (np.abs(extent + 0.5 - (width, height)) > 1).any():  # some programs count the last pixel, some do not
        raise ShapeError("their mask is of another size than its box")
    try:
        crop = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        crop = None
    if crop is None or crop.shape != (height, width):
        raise ShapeError("their mask is no PNG in base64")
    x, y = corners.min(axis=0)
    return Bitmap(crop, (round(y), round(x)))


def labelme_file(record: Mapping[str, Any], masks: CroppedMasks, states: Sequence[str | None]) -> dict[str, Any]:
    """Return the annotations of one image in LabelMe's form, to be viewed and corrected there.

    Each piece of a particle is a polygon along its pixels' edges, with a slit into each hole; the pieces of a particle
    share a group_id.
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
        for outline in simple_polygons(crop, origin)
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


def _matches(
    read: Sequence[tuple[Path, Mapping[str, Any]]], folder: Path, images: ImageFolder, account: Account
) -> list[FoundPicture]:
    """Match LabelMe's files to images by `imagePath` and by the files' own names."""
    labels = [path.relative_to(folder).as_posix() for path, _ in read]
    stated = [
        Stated.in_text(str(data.get("imagePath") or f"{path.stem}{path.suffix}"), path.parent, folder, beside=True)
        for path, data in read
    ]
    stated = [dataclasses.replace(name, text=label) for name, label in zip(stated, labels, strict=True)]
    called = [Stated.of_file(path, folder, [path.stem], on_disk=True) for path, _ in read]
    matches = []
    for (path, data), by_path, by_name in zip(
        read, images.match(stated, account), images.match(called, account), strict=True
    ):
        if by_path.path is None or by_name.path is None or by_path.path == by_name.path:
            matches.append(by_name if by_path.path is None and by_name.path is not None else by_path)
            continue
        certain = [match for match in (by_path, by_name) if _is_drawn_on(data, match.path)]
        if len(certain) != 1:
            names = (
                f"{images.name_of(by_path.path)} but its own name {images.name_of(by_name.path)}, so neither is used"
            )
            by_path.candidates = (by_name.path,)
            by_path.fail(f"{path.relative_to(folder)} says {names}: correct imagePath")
        matches.append(certain[0] if len(certain) == 1 else by_path)
    return matches


def _is_drawn_on(data: Mapping[str, Any], path: Path) -> bool:
    """Whether an image can be the annotated one: it has the stated size and resembles the picture inside the file."""
    try:
        grey = read_grey(path, intensity_range=(0, 255))
    except SEMReadError:
        return False
    size = stated_size(data.get("imageHeight"), data.get("imageWidth"))
    if size is not None and size != grey.shape:
        return False
    try:
        picture = np.frombuffer(base64.b64decode(data.get("imageData") or ""), np.uint8)
        drawn_on = cv2.imdecode(picture, cv2.IMREAD_GRAYSCALE) if picture.size else None
    except (TypeError, ValueError, cv2.error):
        drawn_on = None
    return drawn_on is None or (drawn_on.shape == grey.shape and abs(drawn_on - grey).mean() < ALIKE_LEVELS)


def _shape_and_label(entry: Mapping[str, Any]) -> tuple[Shape | None, str, Any, Any]:
    """Return shape, kind, label and group of an entry of `shapes`, for `grouped_particles`."""
    shape, label, group = labelme_shape(entry), entry.get("label"), entry.get("group_id")
    flags = entry.get("flags") or {}
    label = next((flag for flag in STATES if flags.get(flag) is True), label)
    return shape, entry.get("shape_type"), label, None if group is None else (str(label), str(group))
