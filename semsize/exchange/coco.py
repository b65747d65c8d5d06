"""Reads COCO JSON of any tool: polygons, compressed and uncompressed RLE, crowds."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsize.exchange.shapes import Bitmap, Shape, polygon_shapes
from semsize.exchange.source import Account, ExchangeError, SourceImage, SourceParticle, Stated, stated_size
from semsize.exchange.which_picture import FoundPicture, ImageFolder
from semsize.structures import CONFIGURATIONS
from semsize.structures.coco_files import BOX_TOLERANCE_PX, crowd_flag
from semsize.structures.files import is_number, read_json
from semsize.structures.overlap import box_ious
from semsize.structures.polygons import ShapeError
from semsize.structures.rle import decode_rles, rle_size

STATE_KEY = "state"

_LEAST_OVERLAP = 0.5  # IoU of an outline's box and its `bbox`, below which the outline lies elsewhere


def read_coco(
    path: Path,
    images: ImageFolder,
    account: Account,
    *,
    label_key: str = STATE_KEY,
    crowds_as_particles: bool = False,
) -> Iterator[SourceImage]:
    """Yield each image of a COCO file once, with its particles.

    `trouble` is set for images that share an id, for an image listed twice with different annotations, and for an image
    in which most outlines with a `bbox` lie elsewhere than it. In other images these outlines are left out.

    Args:
        path: the JSON file.
        images: the image files.
        account: notes what cannot be read.
        label_key: key of the label in an annotation or in its `attributes` (as CVAT writes them); an annotation without
            this key has the name of its category as label.
        crowds_as_particles: read annotations with `iscrowd` as particles, for tools that mark every mask as a crowd.

    Raises:
        ExchangeError: `path` is no COCO file.
    """
    data, categories = _content(path)
    annotations = _by_image(data.get("annotations") or [], account)
    records = []
    for number, record in enumerate(data["images"], start=1):
        if not (_is_record(record) and isinstance(record.get("file_name"), str)):
            account.note("images left out, their entry names no file", f"entry {number}")
        elif _id(record.get("id")) is None:
            account.note("images left out, they have no id: number the images anew", record["file_name"])
        else:
            records.append(record)
    found = images.match([Stated.in_text(record["file_name"], path.parent) for record in records], account)
    entries = [
        _image(record, match, annotations.get(_id(record["id"]), []))
        for record, match in zip(records, found, strict=True)
    ]
    listed, crowds, particles = set(), 0, 0
    boxes = _stated_boxes(data.get("annotations") or [])
    for image, of_image in _once_each(records, entries, annotations, account):
        listed |= {image.path, *image.candidates}
        elsewhere = 0
        for annotation in of_image if image.trouble is None else ():
            place = f"annotation {annotation.get('id')}"
            with account.tolerate(f"{image.name}: {place}", image):
                shapes = coco_shapes(annotation.get("segmentation"), image.size)
                label = _label(annotation, label_key, categories)
                crowd = crowd_flag(annotation.get("iscrowd", 0))
                crowds, particles = crowds + crowd, particles + 1
                crowd = crowd and not crowds_as_particles
                if id(annotation) in boxes and _are_elsewhere(shapes, boxes[id(annotation)]):
                    elsewhere += 1
                    raise ShapeError("their outline lies elsewhere than the box (bbox) that they state")
                image.particles.append(SourceParticle(place, shapes, label, crowd))
        stating = sum(id(annotation) in boxes for annotation in of_image)
        if 2 * elsewhere > stating:
            image.trouble = (
                f"{elsewhere} of {stating} outlines lie elsewhere than the boxes (bbox) that it states for them: "
                "their coordinates are not pixels x, y"
            )
        yield image
    _note_crowds(crowds, particles, crowds_as_particles, path.name, account)
    ids = {_id(record["id"]) for record in records}
    for orphan in (orphan for image_id, group in annotations.items() if image_id not in ids for orphan in group):
        place = f"annotation {orphan.get('id')} of image {orphan['image_id']}"
        account.note("annotations left out, their image is not in the file", place)
    images.note_unused(listed, account, "not in the annotation file")


def _note_crowds(crowds: int, particles: int, as_particles: bool, name: str, account: Account) -> None:
    if crowds and as_particles:
        account.note("files with annotations marked as crowds (iscrowd), taken as particles", f"{name} ({crowds})")
    elif crowds:
        what = "ALL annotations" if crowds == particles else "annotations"
        account.note(
            f"files with {what} marked as crowds (iscrowd), regions to ignore: --crowds-as-particles takes them as "
            "particles",
            f"{name} ({crowds} of {particles})",
        )


def coco_shapes(segmentation: Any, size: tuple[int, int] | None) -> tuple[Shape, ...]:
    """Return the shapes of a segmentation: polygons in any form that `polygons` reads, or the pixels of an RLE.

    Raises:
        ShapeError: the segmentation is missing or in no known form, or an RLE is damaged or not of `size` (H, W).
    """
    if segmentation in (None, [], {}, ""):
        raise ShapeError("they have a box at most, but no mask")
    if isinstance(segmentation, Mapping) and {"size", "counts"} & segmentation.keys():
        stated = rle_size(segmentation)
        if size is not None and stated != size:
            raise ShapeError("their RLE is of another size than the image")
        try:
            (crop,), (origin,) = decode_rles([segmentation])
        except ValueError:
            raise ShapeError("their RLE's counts are damaged, or do not add up to its size") from None
        return (Bitmap(crop, tuple(origin.tolist())),)
    return polygon_shapes(segmentation)


def _content(path: Path) -> tuple[Mapping[str, Any], dict[int | str | None, Any]]:
    """Read a COCO file whose sections are lists; return its content, and the names of categories by their ids."""
    data = read_json(path, ExchangeError)
    if not (isinstance(data, Mapping) and isinstance(data.get("images"), list)):
        raise ExchangeError(f"{path}: not a COCO file; it must hold a list of images")
    for section in ("annotations", "categories"):
        if not isinstance(data.get(section) or [], list):
            raise ExchangeError(f"{path}: not a COCO file; its {section} must be a list")
    entries = filter(_is_record, data.get("categories") or [])
    return data, {_id(entry.get("id")): entry.get("name") for entry in entries}


def _image(record: Mapping[str, Any], match: FoundPicture, annotations: Sequence[Mapping[str, Any]]) -> SourceImage:
    nm, configuration = record.get("pixel_size_nm"), record.get("configuration")
    size = stated_size(record.get("height"), record.get("width"))
    if size is None:
        masks = filter(_is_record, (annotation.get("segmentation") for annotation in annotations))
        sizes = {stated_size(*pair) for pair in (mask.get("size") for mask in masks) if _is_pair(pair)}
        size = next(iter(sizes)) if len(sizes) == 1 else None
    return SourceImage(
        match.path,
        record["file_name"],
        size=size,
        pixel_size_nm=float(nm) if is_number(nm) and nm > 0 else None,
        configuration=configuration if configuration in CONFIGURATIONS else None,
        trouble=match.trouble,
        candidates=match.candidates,
    )


def _once_each(
    records: Sequence[Mapping[str, Any]],
    entries: Sequence[SourceImage],
    annotations: Mapping[Any, Sequence[Mapping[str, Any]]],
    account: Account,
) -> Iterator[tuple[SourceImage, Sequence[Mapping[str, Any]]]]:
    """Yield each image with its annotations; an image with several entries comes once if they have equal outlines."""
    of_id, of_path = defaultdict(list), defaultdict(list)
    for record, image in zip(records, entries, strict=True):
        of_id[_id(record["id"])].append(image)
        if image.path is not None and image.trouble is None:
            of_path[image.path].append((_id(record["id"]), image))
    for image_id, sharing in of_id.items():
        names = list(dict.fromkeys(image.name for image in sharing))
        if len({image.path or image.name for image in sharing}) > 1 and annotations.get(image_id):
            for image in sharing:
                others = ", ".join(name for name in names if name != image.name)
                image.trouble = image.trouble or f"it shares the id {image_id} with {others}: number the images anew"
    done = set()
    for record, image in zip(records, entries, strict=True):
        of_image = annotations.get(_id(record["id"]), [])
        doubles = of_path.get(image.path, [])
        if len(doubles) > 1 and image.trouble is None:
            if image.path in done:
                continue
            done.add(image.path)
            ids = list(dict.fromkeys(image_id for image_id, _ in doubles))
            drawn = [(number, annotations[number]) for number in ids if annotations.get(number)]
            if any(_outlines(other) != _outlines(drawn[0][1]) for _, other in drawn[1:]):
                image.trouble = (
                    f"it is listed under the ids {', '.join(str(number) for number, _ in drawn)} with different "
                    "annotations: keep those that are its own"
                )
            else:
                account.note("images listed more than once, taken once", image.name)
                of_image = drawn[0][1] if drawn else []
        yield image, of_image


def _outlines(annotations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the segmentations in a form in which two lists of annotations of one image can be compared."""
    return sorted(repr(annotation.get("segmentation")) for annotation in annotations)


def _stated_boxes(annotations: Sequence[Any]) -> dict[int, tuple[float, ...]]:
    """Map `id()` of an annotation to its `bbox`; those of one pixel or shared by most annotations are left out."""
    boxes = {}
    for annotation in filter(_is_record, annotations):
        box = annotation.get("bbox")
        if isinstance(box, list) and len(box) == 4 and all(is_number(side) and abs(side) < 1e9 for side in box):
            boxes[id(annotation)] = tuple(map(float, box))
    counts = Counter(boxes.values())
    shared = {box for box, count in counts.items() if count > max(1, len(boxes) / 2)}
    return {key: box for key, box in boxes.items() if min(box[2:]) > 0 and box[2] * box[3] > 1 and box not in shared}


def _are_elsewhere(shapes: Sequence[Shape], stated: Sequence[float]) -> bool:
    """Whether the shapes' box fits the stated one neither as (x, y, width, height) nor as two corners."""
    bounds = np.array([shape.bounds for shape in shapes])
    own = np.concatenate([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])
    corner, extent = np.array(stated[:2]), np.array(stated[2:])
    boxes = [np.concatenate([corner, end]) for end in (corner + extent, extent) if (end > corner).all()]
    return all(
        np.abs(own - box).max() > BOX_TOLERANCE_PX and box_ious(own[None], box[None])[0] < _LEAST_OVERLAP
        for box in boxes
    )


def _label(annotation: Mapping[str, Any], key: str, categories: Mapping[Any, str]) -> str | None:
    attributes = annotation.get("attributes")
    for label in (
        annotation.get(key),
        attributes.get(key) if isinstance(attributes, Mapping) else None,
        categories.get(_id(annotation.get("category_id"))),
    ):
        if isinstance(label, str | int | float) and label != "":
            return str(label)
    return None


def _by_image(annotations: Sequence[Any], account: Account) -> dict[Any, list[Mapping[str, Any]]]:
    groups, ids, doubled = defaultdict(list), set(), []
    for number, annotation in enumerate(annotations, start=1):
        if not _is_record(annotation) or _id(annotation.get("image_id")) is None:
            account.note("annotations left out, not in the form of their format", f"entry {number}")
            continue
        groups[_id(annotation["image_id"])].append(annotation)
        own = _id(annotation.get("id"))
        if own is not None and own in ids:
            doubled.append(own)
        ids.add(own)
    if doubled:
        names = ", ".join(map(str, dict.fromkeys(doubled[:5])))
        account.note("annotations that share their id with another, all read", f"{names} ({len(doubled)} in all)")
    return dict(groups)


def _id(value: Any) -> int | str | None:
    """Return an id that can be compared: "7", 7 and 7.0 are the same; None if the value is no id."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if re.fullmatch("0|-?[1-9][0-9]{0,18}", value) else value
    return value if isinstance(value, int) else None


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _is_record(entry: Any) -> bool:
    return isinstance(entry, Mapping)
