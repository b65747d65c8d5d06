"""COCO JSON of any tool: polygons, RLE of both kinds, crowds."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tio2.exchange.shapes import Bitmap, Shape, polygon_shapes
from tio2.exchange.source import Account, ExchangeError, ImageFolder, SourceImage, SourceParticle
from tio2.structures.annotation_checks import CONFIGURATIONS
from tio2.structures.json_files import is_id, is_number, read_json
from tio2.structures.polygons import ShapeError
from tio2.structures.rle import rle_size, rle_to_crop

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
    data, categories = _content(path)
    annotations = _by_image(data.get("annotations") or [], account)
    listed = set()
    for number, record in enumerate(data["images"], start=1):
        if not (_is_record(record) and isinstance(record.get("file_name"), str) and is_id(record.get("id"))):
            account.note("images left out, their entry names no file", f"entry {number}")
            continue
        image = _image(record, images)
        listed.add(image.path)
        of_image = annotations.pop(record["id"], [])
        if image.size is None:  # then an RLE says it, and is compared with the file
            image.size = _stated_size(annotation.get(segmentation_key) for annotation in of_image)
        for annotation in of_image:
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
        segmentation: an RLE, compressed or not, or polygons in any of the forms of `polygons`.
        size: (H, W) that the file gives for the image; an RLE must have it.

    Raises:
        ShapeError: there is none, it is in no known form, or it does not fit.
    """
    if segmentation in (None, [], {}, ""):
        raise ShapeError("they have a box at most, but no mask")
    if isinstance(segmentation, Mapping) and {"size", "counts"} & segmentation.keys():
        stated = rle_size(segmentation)
        if size is not None and stated != size:
            raise ShapeError("their RLE is of another size than the image")
        try:
            return (Bitmap(*rle_to_crop(segmentation)),)
        except ValueError:
            raise ShapeError("their RLE's counts are damaged, or do not add up to its size") from None
    return polygon_shapes(segmentation)


def _content(path: Path) -> tuple[Mapping[str, Any], dict[int | str, Any]]:
    """What a COCO file holds, its sections being lists, and category id to name."""
    data = read_json(path, ExchangeError)
    if not (isinstance(data, Mapping) and isinstance(data.get("images"), list)):
        raise ExchangeError(f"{path}: not a COCO file; it must hold a list of images")
    for section in ("annotations", "categories"):
        if not isinstance(data.get(section) or [], list):
            raise ExchangeError(f"{path}: not a COCO file; its {section} must be a list")
    entries = [entry for entry in data.get("categories") or [] if _is_record(entry) and is_id(entry.get("id"))]
    return data, {entry["id"]: entry.get("name") for entry in entries}


def _stated_size(segmentations: Iterable[Any]) -> tuple[int, int] | None:
    """(H, W) of the first RLE that states one."""
    for segmentation in segmentations:
        if isinstance(segmentation, Mapping):
            with contextlib.suppress(ShapeError):
                return rle_size(segmentation)
    return None


def _image(record: Mapping[str, Any], images: ImageFolder) -> SourceImage:
    height, width = record.get("height"), record.get("width")
    known = type(height) is int and type(width) is int and height > 0 and width > 0
    nm, configuration = record.get("pixel_size_nm"), record.get("configuration")
    return SourceImage(
        images.find(record["file_name"]),
        record["file_name"],
        size=(height, width) if known else None,
        pixel_size_nm=float(nm) if is_number(nm) and nm > 0 else None,
        configuration=configuration if configuration in CONFIGURATIONS else None,
    )


def _label(annotation: Mapping[str, Any], key: str, categories: Mapping[Any, str]) -> str | None:
    attributes = annotation.get("attributes")
    for label in (
        annotation.get(key),
        attributes.get(key) if isinstance(attributes, Mapping) else None,
        categories.get(category) if is_id(category := annotation.get("category_id")) else None,
    ):
        if isinstance(label, str | int | float) and label != "":
            return str(label)
    return None


def _by_image(annotations: Sequence[Any], account: Account) -> dict[Any, list[Mapping[str, Any]]]:
    groups = defaultdict(list)
    for number, annotation in enumerate(annotations, start=1):
        if _is_record(annotation) and is_id(annotation.get("image_id")):
            groups[annotation["image_id"]].append(annotation)
        else:
            account.note("annotations left out, not in the form of their format", f"entry {number}")
    return dict(groups)


def _is_record(entry: Any) -> bool:
    return isinstance(entry, Mapping)
