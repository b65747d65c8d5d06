"""Reads and writes annotations of the VGG Image Annotator (VIA 1 and 2): a project file, or its export as JSON."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsize.exchange.shapes import Ellipse, Polygon, Shape, rectangle, simple_polygons
from semsize.exchange.source import Account, ExchangeError, SourceImage, Stated, grouped_particles
from semsize.exchange.which_picture import ImageFolder
from semsize.structures.files import read_json
from semsize.structures.masks import CroppedMasks
from semsize.structures.polygons import number, ring

STATE_ATTRIBUTE = "state"
_LEAST_BYTES = 64  # of an image file; programs that write VIA's form without knowing the size put 0 or 1


def read_via(
    path: Path,
    images: ImageFolder,
    account: Account,
    *,
    label_attribute: str = STATE_ATTRIBUTE,
    group: str | None = None,
) -> Iterator[SourceImage]:
    """Yield each image of a VIA file once, with its polygons, polylines (closed), circles, ellipses and rectangles.

    VIA does not store an image's folder: if several images have the same name, their sizes in bytes tell them apart.

    Args:
        path: the JSON file.
        images: the image files.
        account: notes what cannot be read.
        label_attribute: the region attribute that holds the state or class.
        group: the region attribute that the regions of one particle share; None: each region is a particle.

    Raises:
        ExchangeError: `path` is no file of VIA 1 or 2.
    """

    def read_region(region: Mapping[str, Any]) -> tuple[Shape | None, str, Any, Any]:
        attributes, shape = region.get("region_attributes") or {}, via_shape(region["shape_attributes"])
        shared = attributes.get(group) if group else None
        label = attributes.get(label_attribute)
        return shape, region["shape_attributes"]["name"], label, None if shared in (None, "") else str(shared)

    data, named = read_json(path, ExchangeError), []
    for key, entry in _entries(data, path):
        if isinstance(entry.get("filename"), str) and entry["filename"]:
            named.append(entry)
        else:
            account.note("images left out, their entry names no file", str(key))
    folder = _image_folder(data)
    stated = [_stated(entry, folder, path.parent) for entry in named]
    doubles, listed = defaultdict(list), set()
    for entry, match in zip(named, images.match(stated, account), strict=True):
        image = SourceImage(match.path, entry["filename"], trouble=match.trouble, candidates=match.candidates)
        listed |= {image.path, *image.candidates}
        doubles[image.path or id(image)].append((image, _regions(entry, account)))
    for entries in doubles.values():
        image, regions = next(((image, regions) for image, regions in entries if regions), entries[0])
        if any(others and others != regions for _, others in entries):
            image.trouble = f"{len(entries)} entries are of it, with different regions: keep the one that is its own"
            regions = []
        elif len(entries) > 1:
            account.note("images listed more than once, taken once", image.name)
        image.particles = grouped_particles(regions, "region", read_region, image, account)
        yield image
    images.note_unused(listed, account, "not in the annotation file")


def via_shape(attributes: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a region; None for types without an area.

    Raises:
        ShapeError: the shape cannot be drawn.
        KeyError, ValueError, TypeError: the region is not what VIA writes.
    """
    kind = attributes["name"]
    if kind in ("polygon", "polyline"):
        return Polygon((ring(attributes["all_points_x"], attributes["all_points_y"]),))
    if kind == "rect":
        x, y, width, height = (number(attributes[key]) for key in ("x", "y", "width", "height"))
        return rectangle(x, y, x + width, y + height)
    if kind == "circle":
        radius = number(attributes["r"])
        return Ellipse((number(attributes["cx"]), number(attributes["cy"])), (radius, radius))
    if kind == "ellipse":
        centre, semi_axes = ((number(attributes[a]), number(attributes[b])) for a, b in (("cx", "cy"), ("rx", "ry")))
        return Ellipse(centre, semi_axes, number(attributes.get("theta") or 0))
    if kind in ("point", "line"):
        return None
    raise ValueError(f"shape {kind!r}")


def via_project(images: Sequence[tuple[Mapping[str, Any], CroppedMasks, Sequence[str | None]]]) -> dict[str, Any]:
    """Return annotations in the form of VIA 2's export, to be viewed and corrected there.

    Each piece of a particle is a polygon along its pixels' edges, with a slit into each hole; the region attribute
    `particle` holds the particle's number, so that its pieces can be joined again.

    Args:
        images: for each image its record, its N masks and their N states.
    """
    project = {}
    for record, masks, states in images:
        regions = [
            _region(outline, {"particle": str(number), STATE_ATTRIBUTE: state or ""})
            for number, ((crop, origin), state) in enumerate(zip(masks, states, strict=True), start=1)
            for outline in simple_polygons(crop, origin)
        ]
        entry = {"filename": record["file_name"], "size": -1, "regions": regions, "file_attributes": {}}
        project[f"{record['file_name']}-1"] = entry
    return project


def _regions(entry: Mapping[str, Any], account: Account) -> list[Any]:
    """Return the regions of an entry; VIA 1 stores them as a mapping from their numbers."""
    regions = entry.get("regions") or []
    regions = list(regions.values()) if isinstance(regions, Mapping) else regions
    if not isinstance(regions, list):
        account.note("images whose regions are no list, read as without any", entry["filename"])
        return []
    return regions


def _stated(entry: Mapping[str, Any], image_folder: str, folder: Path) -> Stated:
    """Return the stated name of an entry's image, which VIA looks for in the project's image folder if one is set."""
    size = entry.get("size")
    known = type(size) is int and size >= _LEAST_BYTES
    name = entry["filename"]
    whole = re.match(r"[/\\]|[A-Za-z]:|\w+://", name) is not None
    return Stated.in_text(name if whole else image_folder + name, folder, byte_size=size if known else None)


def _image_folder(data: Any) -> str:
    """Return the folder that a project's settings put in front of file names; empty if there is none."""
    try:
        folder = data["_via_settings"]["core"]["default_filepath"]
    except (KeyError, TypeError):
        return ""
    return folder if isinstance(folder, str) else ""


def _region(outline: np.ndarray, attributes: Mapping[str, str]) -> dict[str, Any]:
    x, y = outline.astype(int).T.tolist()
    shape = {"name": "polygon", "all_points_x": x, "all_points_y": y}
    return {"shape_attributes": shape, "region_attributes": dict(attributes)}


def _entries(data: Any, path: Path) -> list[tuple[str, Any]]:
    """Return the image entries of a project or an export."""
    if isinstance(data, Mapping):
        if {"project", "file", "metadata"} <= data.keys():
            raise ExchangeError(f"{path}: a project of VIA 3, which cannot be read; draw the regions in VIA 2")
        data = data.get("_via_img_metadata", data)
        if isinstance(data, Mapping) and data and all(isinstance(e, Mapping) and "regions" in e for e in data.values()):
            return list(data.items())
    raise ExchangeError(f"{path}: not a VIA file; give a project's JSON, or its annotations exported as JSON")
