"""Read and write annotation files: COCO of this project and of other programs."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from semsize.structures.annotations import (
    CATEGORIES,
    CONVERT,
    OWN_IMAGE_KEYS,
    OWN_PARTICLE_KEYS,
    PARTICLE_KEYS,
    AnnotationError,
    check_annotations,
    check_images,
    check_sections,
    image_of,
    is_box,
    rle_area,
)
from semsize.structures.files import read_json, write_json
from semsize.structures.polygons import ShapeError
from semsize.structures.rle import decode_rles, encode_crops, polygons_to_rles, rle_size

BOX_TOLERANCE_PX = 2.0  # programs round boxes and may exclude the last pixel
_logger = logging.getLogger(__name__)


def write_annotations(path: str | Path, data: Mapping[str, Any]) -> None:
    """Check `data` with `check_annotations` and write it; the file appears whole or not at all.

    >>> from tempfile import TemporaryDirectory
    >>> from semsize.structures import dataset, image_entry
    >>> image = image_entry(id=1, file_name="a.png", height=4, width=3)
    >>> with TemporaryDirectory() as folder:
    ...     write_annotations(f"{folder}/train.json", dataset([image], []))
    ...     read_annotations(f"{folder}/train.json")["images"][0]["file_name"]
    'a.png'
    """
    check_annotations(data, path)
    write_json(path, data)


def read_annotations(path: str | Path) -> dict[str, Any]:
    """Read an annotation file of this project, or convert another program's COCO file to this project's form.

    Own keys that another program lacks become null, a missing `iscrowd` becomes 0. Polygons (rasterised by COCO's rule)
    and lists of counts become RLE; area and box are computed from the mask. If a category is named `particle`, the
    other categories are left out, as are masks without a pixel; a warning in the log counts what is left out.

    Raises:
        AnnotationError: the file is missing, not COCO, or breaks a rule of `check_annotations`; an annotation has no
            mask, a mask in an unknown form, or a box that does not fit its mask; or the annotations are of several
            categories, none of them named `particle`.

    >>> from tempfile import TemporaryDirectory
    >>> square = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]}
    >>> image = {"id": 1, "file_name": "a.png", "height": 4, "width": 5}
    >>> with TemporaryDirectory() as folder:
    ...     write_json(f"{folder}/coco.json", {"images": [image], "annotations": [square]})
    ...     read_annotations(f"{folder}/coco.json")["annotations"][0]["segmentation"]
    {'size': [4, 5], 'counts': '52207'}
    """
    data, origin = read_json(path, AnnotationError), str(path)
    if isinstance(data, Mapping) and data.get("categories") is None:
        data = {**data, "categories": []}
    check_sections(data, origin)
    images = [dict.fromkeys(OWN_IMAGE_KEYS) | image for image in data["images"]]
    check_images(images, origin)
    of_id = {image["id"]: image for image in images}
    particles, left_out = [], Counter()
    for position, annotation in enumerate(_of_particles(data, origin, left_out)):
        if not _is_complete(annotation):
            where = f"{origin}: particle {annotation.get('id', f'at position {position}')}"
            annotation = _completed(annotation, of_id, where)
            if annotation["area"] == 0:
                left_out["without a pixel"] += 1
                continue
        particles.append(annotation)
    for reason, count in left_out.items():
        _logger.warning("%s: %d annotations left out, %s", origin, count, reason)
    data = {
        **data,
        "images": images,
        "annotations": particles,
        "categories": [dict(category) for category in CATEGORIES],
    }
    check_annotations(data, path)
    return data


def crowd_flag(value: Any) -> bool:
    """Return whether `iscrowd` is set: a number, a bool, or either as text; None and empty text mean False.

    Raises:
        ValueError: the value means neither true nor false.

    >>> crowd_flag(1), crowd_flag("false"), crowd_flag(None)
    (True, False, False)
    """
    text = str(value if value is not None else 0).strip().lower()
    if text in ("1", "1.0", "true", "yes"):
        return True
    if text in ("", "0", "0.0", "false", "no"):
        return False
    raise ValueError(f"iscrowd {value!r} is neither 0 nor 1")


def by_image(entries: Iterable[Mapping[str, Any]]) -> defaultdict[int, list[Mapping[str, Any]]]:
    """Group annotations or predictions by image id; an image without any has an empty list.

    >>> by_image([{"image_id": 7, "score": 0.9}])[7]
    [{'image_id': 7, 'score': 0.9}]
    """
    groups = defaultdict(list)
    for entry in entries:
        groups[entry["image_id"]].append(entry)
    return groups


def _is_complete(annotation: Mapping[str, Any]) -> bool:
    """Return whether an entry has every key that this project writes, and its mask as compressed RLE."""
    rle = annotation.get("segmentation")
    return annotation.keys() >= PARTICLE_KEYS and isinstance(rle, dict) and isinstance(rle.get("counts"), str)


def _of_particles(data: Mapping[str, Any], origin: str, left_out: Counter[str]) -> list[dict[str, Any]]:
    """Return the annotations of particles with this project's category id; count the others in `left_out`."""
    categories, annotations = data["categories"], data["annotations"]
    names = {entry["id"]: entry.get("name") for entry in categories if type(entry.get("id")) in (int, str)}
    numbers = [annotation.get("category_id") for annotation in annotations]
    numbers = [number if type(number) in (int, str) else None for number in numbers]
    wanted = {number for number in numbers if names.get(number) == CATEGORIES[0]["name"]} or set(numbers)
    if len(wanted) > 1:
        listed = ", ".join(sorted(str(names.get(number, number)) for number in wanted))
        raise AnnotationError(f"{origin}: has annotations of several categories ({listed}); {CONVERT} with --label")
    kept = [annotation for annotation, number in zip(annotations, numbers, strict=True) if number in wanted]
    if len(kept) < len(numbers):
        left_out["of another category"] = len(numbers) - len(kept)
    return [{**annotation, "category_id": CATEGORIES[0]["id"]} for annotation in kept]


def _completed(annotation: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], where: str) -> dict[str, Any]:
    """Convert an annotation of another program's file to an entry of this project."""
    image = image_of(annotation, images, where)
    rle = _as_rle(annotation.get("segmentation"), (image["height"], image["width"]), where)
    area = rle_area(rle, image, f"{where}: segmentation")
    box = coco_mask.toBbox(rle).tolist() if area else [0.0] * 4
    stated = annotation.get("bbox")
    if area and stated and stated != [0, 0, 0, 0]:
        _check_box(stated, box, image, where)
    try:
        crowd = crowd_flag(annotation.get("iscrowd"))
    except ValueError:
        raise AnnotationError(f"{where}: iscrowd must be 0 or 1, got {annotation['iscrowd']!r}") from None
    ours = {"segmentation": rle, "area": area, "bbox": box, "iscrowd": int(crowd)}
    return {**dict.fromkeys(OWN_PARTICLE_KEYS), **annotation, **ours}


def _as_rle(segmentation: Any, image_shape: tuple[int, int], where: str) -> dict[str, Any]:
    """Convert a segmentation in any known form to compressed RLE."""
    if segmentation in (None, [], {}, ""):
        raise AnnotationError(f"{where}: has no mask, so that nothing can be measured against it; {CONVERT}")
    try:
        if not (isinstance(segmentation, Mapping) and {"size", "counts"} & segmentation.keys()):
            return polygons_to_rles([segmentation], image_shape)[0]
        size = rle_size(segmentation)
        if isinstance(segmentation["counts"], str):
            return dict(segmentation)
        return encode_crops(*decode_rles([segmentation]), size)[0]
    except ShapeError as cause:
        raise AnnotationError(f"{where}: its segmentation cannot be read ({cause}); {CONVERT}") from None


def _check_box(stated: Any, box: Sequence[float], image: Mapping[str, Any], where: str) -> None:
    """Raise AnnotationError if a stated box, cut at the image, differs from its mask's by more than 2 px."""
    if not is_box(stated):
        raise AnnotationError(f"{where}: bbox must be x, y, width and height, got {stated!r}")
    (x, y, width, height), (left, top, columns, rows) = map(float, stated), box
    edges = np.clip([x, y, x + width, y + height], 0, [image["width"], image["height"]] * 2)
    if np.abs(edges - [left, top, left + columns, top + rows]).max() > BOX_TOLERANCE_PX:
        raise AnnotationError(
            f"{where}: its bbox {stated} is not that of its mask, {box}: correct one of them, or leave bbox out"
        )
