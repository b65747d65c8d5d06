"""VGG Image Annotator, versions 1 and 2: a project file, or its export of annotations as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tio2.exchange.outlines import simple_outlines
from tio2.exchange.shapes import Ellipse, Polygon, Shape, rectangle
from tio2.exchange.source import Account, ExchangeError, ImageFolder, SourceImage, SourceParticle
from tio2.structures.json_files import read_json
from tio2.structures.masks import CroppedMasks
from tio2.structures.polygons import number, ring

STATE_ATTRIBUTE = "state"


def read_via(
    path: Path,
    images: ImageFolder,
    account: Account,
    *,
    label_attribute: str = STATE_ATTRIBUTE,
    group: str | None = None,
) -> Iterator[SourceImage]:
    """Images of a VIA file with their polygons, polylines (closed), circles, ellipses and rectangles.

    Args:
        path: the JSON file.
        images: where its images are.
        account: takes what cannot be read.
        label_attribute: the region attribute that holds the state or class.
        group: the region attribute that regions of one particle share; None: each region is a particle.

    Raises:
        ExchangeError: it is no VIA file of these versions.
    """
    listed = set()
    for key, entry in _entries(read_json(path, ExchangeError), path):
        name = entry.get("filename") if isinstance(entry, Mapping) else None
        if not isinstance(name, str):
            account.note("images left out, their entry names no file", str(key))
            continue
        image = SourceImage(images.find(name), name)
        listed.add(image.path)
        regions = entry.get("regions") or []
        regions = list(regions.values()) if isinstance(regions, Mapping) else regions
        if not isinstance(regions, list):
            account.note("images whose regions are no list, read as without any", name)
            regions = []
        groups: dict[Any, list[SourceParticle]] = {}
        for position, region in enumerate(regions, start=1):
            place = f"region {position}"
            with account.tolerate(f"{name}: {place}"):
                attributes = region.get("region_attributes") or {}
                shape = via_shape(region["shape_attributes"])
                if shape is None:
                    kind = region["shape_attributes"]["name"]
                    account.note(f"annotations left out, a {kind} has no area", f"{name}: {place}")
                    continue
                label = attributes.get(label_attribute)
                particle = SourceParticle(place, (shape,), str(label) if label not in (None, "") else None)
                shared = attributes.get(group) if group else None
                groups.setdefault(place if shared in (None, "") else ("group", str(shared)), []).append(particle)
        for parts in groups.values():
            shapes = sum((part.shapes for part in parts), ())
            image.particles.append(SourceParticle(parts[0].name, shapes, parts[0].label))
        yield image
    for path_left in sorted(set(images.files) - listed):
        account.note("images left out, not in the annotation file", images.name_of(path_left))


def via_shape(attributes: Mapping[str, Any]) -> Shape | None:
    """Shape of a region; None where it has no area.

    Raises:
        ShapeError: it cannot be drawn.
        KeyError, ValueError, TypeError: it is not what VIA writes.
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
    """Annotations in the form of VIA 2's export, to look at and correct there.

    Each piece of a particle is a polygon along its pixels' edges, holes cut open by a slit; the region attribute
    `particle` numbers the particles, so that pieces of one can be found again.

    Args:
        images: per image its record, its N masks, and their N states.
    """
    project = {}
    for record, masks, states in images:
        regions = [
            _region(outline, {"particle": str(number), STATE_ATTRIBUTE: state or ""})
            for number, ((crop, origin), state) in enumerate(zip(masks, states, strict=True), start=1)
            for outline in simple_outlines(crop, origin)
        ]
        entry = {"filename": record["file_name"], "size": -1, "regions": regions, "file_attributes": {}}
        project[f"{record['file_name']}-1"] = entry
    return project


def _region(outline: np.ndarray, attributes: Mapping[str, str]) -> dict[str, Any]:
    x, y = outline.astype(int).T.tolist()
    shape = {"name": "polygon", "all_points_x": x, "all_points_y": y}
    return {"shape_attributes": shape, "region_attributes": dict(attributes)}


def _entries(data: Any, path: Path) -> list[tuple[str, Any]]:
    """The images' entries of a project or an export."""
    if isinstance(data, Mapping):
        if {"project", "file", "metadata"} <= data.keys():
            raise ExchangeError(f"{path}: a project of VIA 3; draw in VIA 2, whose regions this reads")
        data = data.get("_via_img_metadata", data)
        if isinstance(data, Mapping) and data and all(isinstance(e, Mapping) and "regions" in e for e in data.values()):
            return list(data.items())
    raise ExchangeError(f"{path}: not a VIA file; give a project's JSON, or its annotations exported as JSON")
