"""What must hold in an annotation file, checked in one pass: thousands of particles take a fraction of a second."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from semsize.structures.files import is_number
from semsize.structures.rle import MOST_PIXELS, parse_counts
from semsize.structures.states import STATES

CATEGORIES = [{"id": 1, "name": "particle"}]
CONFIGURATIONS = ("agglomerated", "scattered", "matrix")

SECTIONS = ("images", "annotations", "categories")
OWN_IMAGE_KEYS = ("pixel_size_nm", "source", "configuration")
OWN_PARTICLE_KEYS = ("state", "source_state")
_IMAGE_KEYS = ("file_name", "height", "width", *OWN_IMAGE_KEYS)
PARTICLE_KEYS = {"image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", *OWN_PARTICLE_KEYS}
ANEW = "tools/dataset_converters/coco.py numbers the records anew"
_LENGTHS_NM = ("ecd_nm", "feret_min_nm", "feret_max_nm")
_BOX_TOLERANCE_PX = 1e-3
_BOX_TOLERANCE_OF_OTHERS_PX = 2.0  # programs count the last pixel in or not, and round


class AnnotationError(ValueError):
    """An annotation file is missing or breaks a rule; the message names the file and the record."""


def check_dataset(data: Mapping[str, Any], origin: str) -> None:
    """Raise `AnnotationError` for the first rule that `data`, the contents of the file `origin`, breaks."""
    check_sections(data, origin)
    if [(entry.get("id"), entry.get("name")) for entry in data["categories"]] != [(1, "particle")]:
        raise AnnotationError(f"{origin}: categories must be exactly {CATEGORIES}")
    check_images(data["images"], origin)
    _check_ids(data["annotations"], f"{origin}: particle")
    images = {image["id"]: image for image in data["images"]}
    for particle in data["annotations"]:
        where = f"{origin}: particle {particle['id']}"
        _check_particle(particle, images, where)
        _check_truth(particle, where)
    _check_boxes(data["annotations"], origin)


def check_sections(data: Any, origin: str) -> None:
    """Raise `AnnotationError` unless `data` holds COCO's three lists of records."""
    if not isinstance(data, Mapping) or not all(isinstance(data.get(section), list) for section in SECTIONS):
        raise AnnotationError(f"{origin}: not a COCO annotation file; it must hold the lists {', '.join(SECTIONS)}")
    for section in SECTIONS:
        for position, record in enumerate(data[section]):
            if not isinstance(record, dict):
                raise AnnotationError(f"{origin}: entry {position} of {section} is no record of keys and values")


def check_images(images: Sequence[Mapping[str, Any]], origin: str) -> None:
    """Raise `AnnotationError` for the first rule that one of the image records breaks."""
    _check_ids(images, f"{origin}: image")
    for image in images:
        _check_image(image, f"{origin}: image {image['id']}")


def _check_ids(records: Sequence[Any], what: str) -> None:
    seen = set()
    for position, record in enumerate(records):
        number = record.get("id")
        if type(number) is not int or not 0 <= number < 2**63:
            raise AnnotationError(
                f"{what} at position {position}: id must be a whole number from 0, got {number!r}; {ANEW}"
            )
        if number in seen:
            raise AnnotationError(f"{what} {number}: id occurs twice; {ANEW}")
        seen.add(number)


def _check_image(image: Mapping[str, Any], where: str) -> None:
    _check_keys(image, _IMAGE_KEYS, where)
    if not (isinstance(image["file_name"], str) and image["file_name"]):
        raise AnnotationError(f"{where}: file_name must name a file, got {image['file_name']!r}")
    for side in ("height", "width"):
        if type(image[side]) is not int or image[side] < 1:
            raise AnnotationError(f"{where}: {side} must be a positive whole number, got {image[side]!r}")
    if image["height"] * image["width"] > MOST_PIXELS:
        raise AnnotationError(f"{where}: {image['height']} x {image['width']} is the size of no image")
    if image["pixel_size_nm"] is not None and not _is_positive(image["pixel_size_nm"]):
        raise AnnotationError(f"{where}: pixel_size_nm must be positive or null, got {image['pixel_size_nm']!r}")
    if image["configuration"] not in (*CONFIGURATIONS, None):
        raise AnnotationError(
            f"{where}: configuration must be one of {CONFIGURATIONS} or null, got {image['configuration']!r}"
        )


def _check_particle(particle: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], where: str) -> None:
    _check_keys(particle, PARTICLE_KEYS, where)
    image = images.get(particle["image_id"]) if type(particle["image_id"]) is int else None
    if image is None:
        raise AnnotationError(f"{where}: image_id {particle['image_id']!r} is no image of this file")
    if particle["category_id"] != 1:
        raise AnnotationError(f"{where}: category_id must be 1 (particle), got {particle['category_id']!r}")
    if type(particle["iscrowd"]) is not int or particle["iscrowd"] not in (0, 1):
        raise AnnotationError(f"{where}: iscrowd must be 0 or 1, got {particle['iscrowd']!r}")
    if particle["state"] not in (*STATES, None):
        raise AnnotationError(f"{where}: state must be one of {STATES} or null, got {particle['state']!r}")
    area = rle_area(particle["segmentation"], image, f"{where}: segmentation")
    if area < 1 or particle["area"] != area:
        raise AnnotationError(f"{where}: area must be that of its RLE, {area}, and positive, got {particle['area']!r}")


def _check_truth(particle: Mapping[str, Any], where: str) -> None:
    """Keys that only rendered truth has."""
    if "amodal_segmentation" in particle:
        size = dict(zip(("height", "width"), particle["segmentation"]["size"], strict=True))
        full_area = rle_area(particle["amodal_segmentation"], size, f"{where}: amodal_segmentation")
        if full_area < particle["area"]:
            raise AnnotationError(f"{where}: full mask of {full_area} px is smaller than its visible part")
    fraction = particle.get("visible_fraction", 1.0)
    if not (is_number(fraction) and 0 <= fraction <= 1):
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
        agrees = isinstance(found, list) and len(found) == 4 and all(map(is_number, found))
        if not agrees or any(abs(a - b) > _BOX_TOLERANCE_PX for a, b in zip(found, box, strict=True)):
            raise AnnotationError(
                f"{origin}: particle {particle['id']}: bbox must be that of its RLE, {box}, got {found}"
            )


def check_box_of_others(stated: Any, box: Sequence[float], image: Mapping[str, Any], where: str) -> None:
    """Raise `AnnotationError` where another program states a box that is not that of its mask, within 2 px.

    Args:
        stated: its `bbox`; none, an empty one and zeros say nothing.
        box: x, y, width, height of the mask, which lies in the image.
        image: its record: the mask is cut at the image's border, the box may not be.
        where: begins the message.
    """
    if not stated or stated == [0, 0, 0, 0]:
        return
    if not (isinstance(stated, list) and len(stated) == 4 and all(map(is_number, stated))):
        raise AnnotationError(f"{where}: bbox must be x, y, width and height, got {stated!r}")
    sides = (image["width"], image["height"])
    edges = [min(max(float(at), 0), side) for at, side in zip(stated[:2], sides, strict=True)]
    edges += [
        min(max(float(at) + float(length), 0), side)
        for at, length, side in zip(stated[:2], stated[2:], sides, strict=True)
    ]
    of_mask = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    if any(abs(a - b) > _BOX_TOLERANCE_OF_OTHERS_PX for a, b in zip(edges, of_mask, strict=True)):
        raise AnnotationError(
            f"{where}: its bbox {stated} is not that of its mask, {box}: correct what is wrong, or leave bbox out"
        )


def rle_area(rle: Any, image: Mapping[str, Any], where: str) -> int:
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
    if runs.min() < 0 or runs.max() > size[0] * size[1] or runs.sum() != size[0] * size[1]:
        raise AnnotationError(f"{where}: RLE runs add up to {runs.sum()} pixels, the image has {size[0] * size[1]}")
    return int(runs[1::2].sum())


def _check_keys(record: Mapping[str, Any], keys: Collection[str], where: str) -> None:
    missing = sorted(key for key in keys if key not in record)
    if missing:
        raise AnnotationError(
            f"{where}: lacks {', '.join(missing)}; write the file with its program anew, or convert it "
            "(tools/dataset_converters/coco.py)"
        )


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0
