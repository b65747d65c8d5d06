"""COCO JSON of any tool: polygons, RLE of both kinds, crowds."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tio2.exchange.shapes import Bitmap, Polygon, Shape, ShapeError, ring
from tio2.exchange.source import Account, ExchangeError, ImageFolder, SourceImage, SourceParticle
from tio2.structures.annotation_checks import CONFIGURATIONS
from tio2.structures.json_files import read_json
from tio2.structures.rle import rle_to_crop

STATE_KEY = "state"
SEGMENTATION_KEY = "segmentation"


def read_coco(
    path: Path,
    images: ImageFolder,
    account: Account,
    *,
    label_key: str = STATE_KEY,
    segmentation_key: str = SEGMENTATION_KEY,
) -> Iterator[SourceImage]:
    """Images of a COCO file with their particles.

    The label is the annotation's own `label_key`, or that of its `attributes` (as CVAT writes them), else the name of
    its category. Pixel size and configuration are taken where an image has them, as this project's files do.

    Args:
        path: the JSON file.
        images: where its images are.
        account: takes what cannot be read.
        label_key: see above.
        segmentation_key: `amodal_segmentation` takes the full outlines of rendered truths, hidden parts included.

    Raises:
        ExchangeError: it is no COCO file.
    """
    data = read_json(path, ExchangeError)
    if not (isinstance(data, Mapping) and isinstance(data.get("images"), list)):
        raise ExchangeError(f"{path}: not a COCO file; it must hold a list of images")
    categories = {entry.get("id"): entry.get("name") for entry in data.get("categories") or [] if _is_record(entry)}
    annotations = _by_image(data.get("annotations") or [], account)
    listed = set()
    for number, record in enumerate(data["images"], start=1):
        if not (_is_record(record) and isinstance(record.get("file_name"), str) and "id" in record):
            account.note("images left out, their entry names no file", f"entry {number}")
            continue
        image = _image(record, images)
        listed.add(image.path)
        for annotation in annotations.pop(record["id"], []):
            place = f"annotation {annotation.get('id')}"
            with account.tolerate(f"{image.name}: {place}"):
                shapes = coco_shapes(annotation.get(segmentation_key), image.size)
                label = _label(annotation, label_key, categories)
                crowd = bool(annotation.get("iscrowd", 0))
                image.particles.append(SourceParticle(place, shapes, label, crowd))
        yield image
    for image_id, orphans in annotations.items():
        for annotation in orphans:
            place = f"annotation {annotation.get('id')} of image {image_id}"
            account.note("annotations left out, their image is not in the file", place)
    for left in sorted(set(images.files) - listed):
        account.note("images left out, not in the annotation file", images.name_of(left))


def coco_shapes(segmentation: Any, size: tuple[int, int] | None) -> tuple[Shape, ...]:
    """Shapes of a segmentation: polygons, or the pixels of an RLE.

    Args:
        segmentation: list of flat polygons, or an RLE, compressed or not.
        size: (H, W) that the file gives for the image; an RLE must have it.

    Raises:
        ShapeError: there is none, or it does not fit.
        KeyError, ValueError, TypeError: it is not what COCO has.
    """
    if not segmentation:
        raise ShapeError("they have a box at most, but no mask")
    if isinstance(segmentation, Mapping):
        if size is not None and tuple(segmentation["size"]) != size:
            raise ShapeError("their RLE is of another size than the image")
        return (Bitmap(*rle_to_crop(segmentation)),)
    flats = segmentation if isinstance(segmentation[0], Sequence) else [segmentation]
    return tuple(Polygon((ring(flat[0::2], flat[1::2]),)) for flat in flats)


def _image(record: Mapping[str, Any], images: ImageFolder) -> SourceImage:
    height, width = record.get("height"), record.get("width")
    known = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    nm, configuration = record.get("pixel_size_nm"), record.get("configuration")
    return SourceImage(
        images.find(record["file_name"]),
        record["file_name"],
        size=(height, width) if known else None,
        pixel_size_nm=float(nm) if isinstance(nm, int | float) and np.isfinite(nm) and nm > 0 else None,
        configuration=configuration if configuration in CONFIGURATIONS else None,
    )


def _label(annotation: Mapping[str, Any], key: str, categories: Mapping[Any, str]) -> str | None:
    attributes = annotation.get("attributes")
    for label in (
        annotation.get(key),
        attributes.get(key) if isinstance(attributes, Mapping) else None,
        categories.get(annotation.get("category_id")),
    ):
        if label not in (None, ""):
            return str(label)
    return None


def _by_image(annotations: Sequence[Any], account: Account) -> dict[Any, list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for number, annotation in enumerate(annotations, start=1):
        if _is_record(annotation):
            groups[annotation.get("image_id")].append(annotation)
        else:
            account.note("annotations left out, not in the form of their format", f"entry {number}")
    return dict(groups)


def _is_record(entry: Any) -> bool:
    return isinstance(entry, Mapping)
