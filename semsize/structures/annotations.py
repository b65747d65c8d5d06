"""Make and check annotation entries, COCO JSON with RLE masks and this project's own keys; no other module does.

Images have `pixel_size_nm`, `source` and `configuration` beyond COCO, particles `state` and `source_state`. Rendered
particles also have the truth that only a renderer knows (`amodal_segmentation`, `visible_fraction`, `truncated`,
`ecd_nm`, `feret_min_nm`, `feret_max_nm`). `iscrowd` 1 marks a speck or a region to ignore.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from semsize.structures.files import is_number
from semsize.structures.rle import MOST_PIXELS, parse_counts, plain_rle
from semsize.structures.states import STATES

CATEGORIES = [{"id": 1, "name": "particle"}]
CONFIGURATIONS = ("agglomerated", "scattered", "matrix")
SPLITS = ("train", "val", "test")
SPECK_PX = 12  # the renderer and the converter of BAM's set mark particles with fewer visible pixels `iscrowd` (specks)

_SECTIONS = ("images", "annotations", "categories")
_BOX_ROUNDING_PX = 1e-3
CONVERT = "convert the file with tools/dataset_converters/coco.py"

_Rules = dict[str, tuple[Callable[[Any], bool], str]]  # key: test of its value, and the end of "key must …"


def _is_positive(value: Any) -> bool:
    return is_number(value) and value > 0


def _is_length(value: Any) -> bool:
    return type(value) is int and value > 0


_IMAGE_RULES: _Rules = {
    "file_name": (lambda value: isinstance(value, str) and value != "", "name a file"),
    "height": (_is_length, "be a positive whole number"),
    "width": (_is_length, "be a positive whole number"),
    "pixel_size_nm": (lambda value: value is None or _is_positive(value), "be positive or null"),
    "source": (lambda _: True, ""),
    "configuration": (lambda value: value in (*CONFIGURATIONS, None), f"be one of {CONFIGURATIONS} or null"),
}
_PARTICLE_RULES: _Rules = {
    "category_id": (lambda value: value == 1, "be 1 (particle)"),
    "iscrowd": (lambda value: type(value) is int and value in (0, 1), "be 0 or 1"),
    "state": (lambda value: value in (*STATES, None), f"be one of {STATES} or null"),
}
_TRUTH_RULES: _Rules = {
    "visible_fraction": (lambda value: is_number(value) and 0 <= value <= 1, "lie in 0 to 1"),
    "truncated": (lambda value: isinstance(value, bool), "be true or false"),
    **dict.fromkeys(("ecd_nm", "feret_min_nm", "feret_max_nm"), (_is_positive, "be positive")),
}
OWN_IMAGE_KEYS = ("pixel_size_nm", "source", "configuration")
OWN_PARTICLE_KEYS = ("state", "source_state")
TRUTH_KEYS = tuple(_TRUTH_RULES)
"""Keys of a rendered particle's truth, without its full mask (`amodal_segmentation`)."""
PARTICLE_KEYS = {"image_id", "segmentation", "area", "bbox", *OWN_PARTICLE_KEYS, *_PARTICLE_RULES}


class AnnotationError(ValueError):
    """An annotation file is missing or breaks a rule; the message names the file and the entry."""


def image_entry(
    *,
    id: int,
    file_name: str,
    height: int,
    width: int,
    pixel_size_nm: float | None = None,
    source: str | None = None,
    configuration: str | None = None,
) -> dict[str, Any]:
    """Return the entry of an image; None marks an unknown value.

    Args:
        id: unique, from 1.
        file_name: relative to the image folder of its split.
        height: rows.
        width: columns.
        pixel_size_nm: nanometres per pixel.
        source: archive and original file, or renderer and preset.
        configuration: one of `CONFIGURATIONS`.

    >>> image_entry(id=1, file_name="a.png", height=4, width=3)["pixel_size_nm"] is None
    True
    """
    return {
        "id": int(id),
        "file_name": file_name,
        "height": int(height),
        "width": int(width),
        "pixel_size_nm": None if pixel_size_nm is None else float(pixel_size_nm),
        "source": source,
        "configuration": configuration,
    }


def particle_entry(
    *,
    id: int,
    image_id: int,
    rle: Mapping[str, Any],
    state: str | None = None,
    source_state: str | None = None,
    iscrowd: int = 0,
    amodal_rle: Mapping[str, Any] | None = None,
    visible_fraction: float | None = None,
    truncated: bool | None = None,
    ecd_nm: float | None = None,
    feret_min_nm: float | None = None,
    feret_max_nm: float | None = None,
) -> dict[str, Any]:
    """Return the entry of a particle; `area` (pixels) and `bbox` (x, y, width, height) are computed from its RLE.

    Args:
        id: unique over the file, from 1.
        image_id: id of its image.
        rle: visible mask, COCO's compressed RLE.
        state: one of `STATES`; None if unknown.
        source_state: the state in the source's own words.
        iscrowd: 1 for a speck or a region to ignore.
        amodal_rle: full mask within the frame, hidden part included; this key and the next ones are written if given.
        visible_fraction: share of the full mask that is visible, 0 to 1.
        truncated: whether the frame cuts the particle.
        ecd_nm: equivalent circular diameter of the full outline.
        feret_min_nm: smallest caliper width of the full outline.
        feret_max_nm: largest caliper width of the full outline.

    >>> entry = particle_entry(id=1, image_id=1, rle={"size": [4, 3], "counts": "129"}, state="isolated")
    >>> entry["area"], entry["bbox"]
    (2, [0.0, 1.0, 1.0, 2.0])
    """
    rle = plain_rle(rle)
    lengths_nm = {"ecd_nm": ecd_nm, "feret_min_nm": feret_min_nm, "feret_max_nm": feret_max_nm}
    truth = {
        "amodal_segmentation": None if amodal_rle is None else plain_rle(amodal_rle),
        "visible_fraction": None if visible_fraction is None else float(visible_fraction),
        "truncated": None if truncated is None else bool(truncated),
        **{key: None if length is None else float(length) for key, length in lengths_nm.items()},
    }
    return {
        "id": int(id),
        "image_id": int(image_id),
        "category_id": 1,
        "segmentation": rle,
        "area": int(coco_mask.area(rle)),
        "bbox": coco_mask.toBbox(rle).tolist(),
        "iscrowd": int(iscrowd),
        "state": state,
        "source_state": source_state,
        **{key: value for key, value in truth.items() if value is not None},
    }


def dataset(
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    info: Mapping[str, Any] | None = None,
    licenses: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the contents of an annotation file, ready for `write_annotations`.

    >>> sorted(dataset([], []))
    ['annotations', 'categories', 'images', 'info', 'licenses']
    """
    return {
        "info": dict(info or {}),
        "licenses": list(licenses),
        "categories": [dict(category) for category in CATEGORIES],
        "images": list(images),
        "annotations": list(annotations),
    }


def check_annotations(data: Mapping[str, Any], origin: str | Path) -> None:
    """Check keys, values and ids, and that areas and boxes fit the RLEs; thousands of particles take below a second.

    Args:
        data: an annotation file's contents.
        origin: the file's name, for error messages.

    Raises:
        AnnotationError: the first fault found, in one line with the origin and the entry's id.

    >>> check_annotations(dataset([image_entry(id=1, file_name="a.png", height=4, width=3)], []), "train.json")
    """
    check_sections(data, origin)
    if [(entry.get("id"), entry.get("name")) for entry in data["categories"]] != [(1, "particle")]:
        raise AnnotationError(f"{origin}: categories must be exactly {CATEGORIES}")
    check_images(data["images"], origin)
    _check_ids(data["annotations"], f"{origin}: particle")
    images = {image["id"]: image for image in data["images"]}
    for particle in data["annotations"]:
        where = f"{origin}: particle {particle['id']}"
        _check_keys(particle, PARTICLE_KEYS, where)
        image = image_of(particle, images, where)
        _check_values(particle, _PARTICLE_RULES, where)
        area = rle_area(particle["segmentation"], image, f"{where}: segmentation")
        if area < 1 or particle["area"] != area:
            raise AnnotationError(
                f"{where}: area must be that of its RLE, {area}, and positive, got {particle['area']!r}"
            )
        if "amodal_segmentation" in particle:
            full_area = rle_area(particle["amodal_segmentation"], image, f"{where}: amodal_segmentation")
            if full_area < area:
                raise AnnotationError(f"{where}: full mask of {full_area} px is smaller than its visible part")
        _check_values(particle, _TRUTH_RULES, where)
    rles = [particle["segmentation"] for particle in data["annotations"]]
    boxes = coco_mask.toBbox(rles).tolist() if rles else []
    for particle, box in zip(data["annotations"], boxes, strict=True):
        found = particle["bbox"]
        if not is_box(found) or np.abs(np.array(found, float) - box).max() > _BOX_ROUNDING_PX:
            raise AnnotationError(
                f"{origin}: particle {particle['id']}: bbox must be that of its RLE, {box}, got {found}"
            )


def check_sections(data: Any, origin: str | Path) -> None:
    """Raise `AnnotationError` unless `data` holds COCO's three lists of entries."""
    if not isinstance(data, Mapping) or not all(isinstance(data.get(section), list) for section in _SECTIONS):
        raise AnnotationError(f"{origin}: not a COCO annotation file; it must hold the lists {', '.join(_SECTIONS)}")
    for section in _SECTIONS:
        for position, entry in enumerate(data[section]):
            if not isinstance(entry, dict):
                raise AnnotationError(f"{origin}: entry {position} of {section} is not a JSON object")


def check_images(images: Sequence[Mapping[str, Any]], origin: str | Path) -> None:
    """Raise `AnnotationError` for the first image entry that breaks a rule."""
    _check_ids(images, f"{origin}: image")
    for image in images:
        where = f"{origin}: image {image['id']}"
        _check_keys(image, _IMAGE_RULES, where)
        _check_values(image, _IMAGE_RULES, where)
        if image["height"] * image["width"] > MOST_PIXELS:
            raise AnnotationError(f"{where}: {image['height']} x {image['width']} is larger than images can be")


def _check_ids(entries: Sequence[Mapping[str, Any]], what: str) -> None:
    cure, seen = "tools/dataset_converters/coco.py renumbers the entries", set()
    for position, entry in enumerate(entries):
        number = entry.get("id")
        if type(number) is not int or not 0 <= number < 2**63:
            raise AnnotationError(
                f"{what} at position {position}: id must be a whole number from 0, got {number!r}; {cure}"
            )
        if number in seen:
            raise AnnotationError(f"{what} {number}: id occurs twice; {cure}")
        seen.add(number)


def _check_keys(entry: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    missing = sorted(key for key in keys if key not in entry)
    if missing:
        raise AnnotationError(
            f"{where}: lacks {', '.join(missing)}; write the file again with its program, or {CONVERT}"
        )


def _check_values(entry: Mapping[str, Any], rules: _Rules, where: str) -> None:
    for key, (holds, must) in rules.items():
        if key in entry and not holds(entry[key]):
            raise AnnotationError(f"{where}: {key} must {must}, got {entry[key]!r}")


def image_of(particle: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], where: str) -> Mapping[str, Any]:
    """Return the entry of a particle's image; AnnotationError if the file lacks it."""
    number = particle.get("image_id")
    if type(number) is not int or number not in images:
        raise AnnotationError(f"{where}: image_id {number!r} is no image of this file")
    return images[number]


def rle_area(rle: Any, image: Mapping[str, Any], where: str) -> int:
    """Return the mask pixels of a compressed RLE; AnnotationError unless its runs fill the image exactly."""
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


def is_box(value: Any) -> bool:
    """Return whether a JSON value is a list of four finite numbers."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))
