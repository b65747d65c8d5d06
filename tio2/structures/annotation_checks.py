"""What must hold in an annotation file, checked in one pass: thousands of particles take a fraction of a second."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from tio2.structures.rle_decoding import parse_counts
from tio2.structures.states import STATES

CATEGORIES = [{"id": 1, "name": "particle"}]
CONFIGURATIONS = ("agglomerated", "scattered", "matrix")

_SECTIONS = ("images", "annotations", "categories")
_IMAGE_KEYS = ("file_name", "height", "width", "pixel_size_nm", "source", "configuration")
_PARTICLE_KEYS = ("image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "state", "source_state")
_LENGTHS_NM = ("ecd_nm", "feret_min_nm", "feret_max_nm")
_BOX_TOLERANCE_PX = 1e-3


class AnnotationError(ValueError):
    """An annotation file is missing or breaks a rule; the message names the file and the record."""


def check_dataset(data: Mapping[str, Any], origin: str) -> None:
    """Raise `AnnotationError` for the first rule that `data`, the contents of the file `origin`, breaks."""
    if not isinstance(data, Mapping) or not all(isinstance(data.get(section), list) for section in _SECTIONS):
        raise AnnotationError(f"{origin}: not a COCO annotation file; it must hold the lists {', '.join(_SECTIONS)}")
    if [(entry.get("id"), entry.get("name")) for entry in data["categories"]] != [(1, "particle")]:
        raise AnnotationError(f"{origin}: categories must be exactly {CATEGORIES}")
    _check_ids(data["images"], f"{origin}: image")
    for image in data["images"]:
        _check_image(image, f"{origin}: image {image['id']}")
    _check_ids(data["annotations"], f"{origin}: particle")
    images = {image["id"]: image for image in data["images"]}
    for particle in data["annotations"]:
        where = f"{origin}: particle {particle['id']}"
        _check_particle(particle, images, where)
        _check_truth(particle, where)
    _check_boxes(data["annotations"], origin)


def _check_ids(records: Sequence[Any], what: str) -> None:
    seen = set()
    for position, record in enumerate(records):
        number = record.get("id") if isinstance(record, dict) else None
        if type(number) is not int or number < 1:
            raise AnnotationError(f"{what} at position {position}: id must be a whole number from 1, got {number!r}")
        if number in seen:
            raise AnnotationError(f"{what} {number}: id occurs twice; number the records anew from 1")
        seen.add(number)


def _check_image(image: Mapping[str, Any], where: str) -> None:
    _check_keys(image, _IMAGE_KEYS, where)
    if not (isinstance(image["file_name"], str) and image["file_name"]):
        raise AnnotationError(f"{where}: file_name must name a file, got {image['file_name']!r}")
    for side in ("height", "width"):
        if type(image[side]) is not int or image[side] < 1:
            raise AnnotationError(f"{where}: {side} must be a positive whole number, got {image[side]!r}")
    if image["pixel_size_nm"] is not None and not _is_positive(image["pixel_size_nm"]):
        raise AnnotationError(f"{where}: pixel_size_nm must be positive or null, got {image['pixel_size_nm']!r}")
    if image["configuration"] not in (*CONFIGURATIONS, None):
        raise AnnotationError(
            f"{where}: configuration must be one of {CONFIGURATIONS} or null, got {image['configuration']!r}"
        )


def _check_particle(particle: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], where: str) -> None:
    _check_keys(particle, _PARTICLE_KEYS, where)
    image = images.get(particle["image_id"]) if type(particle["image_id"]) is int else None
    if image is None:
        raise AnnotationError(f"{where}: image_id {particle['image_id']!r} is no image of this file")
    if particle["category_id"] != 1:
        raise AnnotationError(f"{where}: category_id must be 1 (particle), got {particle['category_id']!r}")
    if type(particle["iscrowd"]) is not int or particle["iscrowd"] not in (0, 1):
        raise AnnotationError(f"{where}: iscrowd must be 0 or 1, got {particle['iscrowd']!r}")
    if particle["state"] not in (*STATES, None):
        raise AnnotationError(f"{where}: state must be one of {STATES} or null, got {particle['state']!r}")
    area = _rle_area(particle["segmentation"], image, f"{where}: segmentation")
    if area < 1 or particle["area"] != area:
        raise AnnotationError(f"{where}: area must be that of its RLE, {area}, and positive, got {particle['area']!r}")


def _check_truth(particle: Mapping[str, Any], where: str) -> None:
    """Keys that only rendered truth has."""
    if "amodal_segmentation" in particle:
        size = dict(zip(("height", "width"), particle["segmentation"]["size"], strict=True))
        full_area = _rle_area(particle["amodal_segmentation"], size, f"{where}: amodal_segmentation")
        if full_area < particle["area"]:
            raise AnnotationError(f"{where}: full mask of {full_area} px is smaller than its visible part")
    fraction = particle.get("visible_fraction", 1.0)
    if not (_is_number(fraction) and 0 <= fraction <= 1):
        raise AnnotationError(f"{where}: visible_fraction must lie in 0 to 1, got {fraction!r}")
    if not isinstance(particle.get("truncated", False), bool):
        raise AnnotationError(f"{where}: truncated must be true or false, got {particle['truncated']!r}")
    for key in _LENGTHS_NM:
        if not _is_positive(particle.get(key, 1.0)):
            raise AnnotationError(f"{where}: {key} must be positive, got {particle[key]!r}")


def _check_boxes(particles: Sequence[Mapping[str, Any]], origin: str) -> None:
    """Boxes against those of the RLEs, which lie inside the frame; all at once, as pycocotools is quick that way."""
    if not particles:
        return
    expected = coco_mask.toBbox([particle["segmentation"] for particle in particles]).tolist()
    for particle, box in zip(particles, expected, strict=True):
        found = particle["bbox"]
        agrees = isinstance(found, list) and len(found) == 4 and all(map(_is_number, found))
        if not agrees or any(abs(a - b) > _BOX_TOLERANCE_PX for a, b in zip(found, box, strict=True)):
            raise AnnotationError(
                f"{origin}: particle {particle['id']}: bbox must be that of its RLE, {box}, got {found}"
            )


def _rle_area(rle: Any, image: Mapping[str, Any], where: str) -> int:
    """Pixels of a compressed RLE, after checking that its runs fill the image exactly."""
    if not (isinstance(rle, dict) and isinstance(rle.get("counts"), str)):
        raise AnnotationError(f"{where}: must be an RLE with size and counts as text; convert polygons and lists first")
    size = [image["height"], image["width"]]
    if rle.get("size") != size:
        raise AnnotationError(f"{where}: RLE size must be the image's {size}, got {rle.get('size')!r}")
    try:
        runs, _ = parse_counts([rle["counts"]])
    except ValueError as cause:
        raise AnnotationError(f"{where}: {cause}") from None
    if runs.sum() != size[0] * size[1] or runs.min() < 0:
        raise AnnotationError(f"{where}: RLE runs add up to {runs.sum()} pixels, the image has {size[0] * size[1]}")
    return int(runs[1::2].sum())


def _check_keys(record: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    missing = [key for key in keys if key not in record]
    if missing:
        raise AnnotationError(
            f"{where}: lacks {', '.join(missing)}; write the file through tio2.structures.annotations"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0
