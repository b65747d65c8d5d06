"""The annotation file: COCO JSON with RLE masks, and what this project adds to it.

Beyond COCO an image says its `pixel_size_nm`, `source` and `configuration`, a particle its `state` and `source_state`;
a rendered particle also carries the truth that only a renderer knows (`amodal_segmentation`, `visible_fraction`,
`truncated`, `ecd_nm`, `feret_min_nm`, `feret_max_nm`). `iscrowd` 1 marks a speck or a region to ignore.
Converters and renderer write through this module, so that one place defines the form; files of other programs are
read into it.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from semsize.structures.annotation_checks import (
    CATEGORIES,
    OWN_IMAGE_KEYS,
    OWN_PARTICLE_KEYS,
    PARTICLE_KEYS,
    AnnotationError,
    check_box_of_others,
    check_dataset,
    check_images,
    check_sections,
    rle_area,
)
from semsize.structures.files import read_json, write_json
from semsize.structures.polygons import ShapeError
from semsize.structures.rle import decode_rles, encode_crops, plain_rle, polygons_to_rles, rle_size

_logger = logging.getLogger(__name__)
_CONVERT = "convert the file with tools/dataset_converters/coco.py"


def image_record(
    *,
    id: int,
    file_name: str,
    height: int,
    width: int,
    pixel_size_nm: float | None = None,
    source: str | None = None,
    configuration: str | None = None,
) -> dict[str, Any]:
    """One image.

    Args:
        id: unique, from 1.
        file_name: relative to the image folder of its split.
        height: rows.
        width: columns.
        pixel_size_nm: nanometres a pixel, None where not known.
        source: archive and original file, or renderer and preset.
        configuration: `agglomerated`, `scattered` or `matrix`, None where not known.
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


def particle_record(
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
    """One particle; `area` (pixels) and `bbox` (x, y, width, height) are computed from its RLE.

    The rendered truth, from `amodal_rle` on, is written only where it is given.

    Args:
        id: unique over the file, from 1.
        image_id: id of its image.
        rle: visible mask, COCO's compressed RLE.
        state: one of `STATES`, None where not known.
        source_state: how the source called it, untouched.
        iscrowd: 1 for a speck or a region to ignore.
        amodal_rle: full mask, hidden part included, within the frame.
        visible_fraction: share of the full mask that is visible, 0 to 1.
        truncated: cut by the frame.
        ecd_nm: equivalent circular diameter of the full outline.
        feret_min_nm: smallest caliper width of the full outline.
        feret_max_nm: largest caliper width of the full outline.
    """
    rle = plain_rle(rle)
    record = {
        "id": int(id),
        "image_id": int(image_id),
        "category_id": 1,
        "segmentation": rle,
        "area": int(coco_mask.area(rle)),
        "bbox": coco_mask.toBbox(rle).tolist(),
        "iscrowd": int(iscrowd),
        "state": state,
        "source_state": source_state,
    }
    rendered = {
        "amodal_segmentation": None if amodal_rle is None else plain_rle(amodal_rle),
        "visible_fraction": None if visible_fraction is None else float(visible_fraction),
        "truncated": None if truncated is None else bool(truncated),
        "ecd_nm": None if ecd_nm is None else float(ecd_nm),
        "feret_min_nm": None if feret_min_nm is None else float(feret_min_nm),
        "feret_max_nm": None if feret_max_nm is None else float(feret_max_nm),
    }
    return record | {key: value for key, value in rendered.items() if value is not None}


def dataset(
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    info: Mapping[str, Any] | None = None,
    licenses: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The whole annotation file, ready for `write_annotations`."""
    return {
        "info": dict(info or {}),
        "licenses": [dict(entry) for entry in licenses or ()],
        "categories": [dict(category) for category in CATEGORIES],
        "images": [dict(image) for image in images],
        "annotations": [dict(annotation) for annotation in annotations],
    }


def validate(data: Mapping[str, Any], origin: str | Path) -> None:
    """Check the form, the ids and that every area, box and RLE agree.

    Args:
        data: an annotation file's contents.
        origin: its name, for the message.

    Raises:
        AnnotationError: the first fault found, in one line with the origin and the record's id.
    """
    check_dataset(data, str(origin))


def write_annotations(path: str | Path, data: Mapping[str, Any]) -> None:
    """Validate `data`, then write it; the file appears whole or not at all."""
    validate(data, path)
    write_json(path, data)


def read_annotations(path: str | Path) -> dict[str, Any]:
    """Contents of an annotation file of this project, or of a COCO file of any other program in this project's form.

    Raises:
        AnnotationError: it is missing, not JSON, or breaks a rule of `validate` that `completed` cannot mend.
    """
    data = completed(read_json(path, AnnotationError), str(path))
    validate(data, path)
    return data


def completed(data: Any, origin: str) -> dict[str, Any]:
    """A COCO data set in this project's form: what it lacks is not known, and without `iscrowd` nothing is a crowd.

    Polygons (rasterised by COCO's rule) and lists of counts become RLE; box and area are those of the mask. Particles
    are of the category `particle`, or of the only one that occurs. Annotations of other categories and masks without a
    pixel are left out, counted and logged.

    Args:
        data: contents of the file.
        origin: its name, for messages.

    Raises:
        AnnotationError: it is no COCO data set, an annotation has no mask or one in no known form, its box is not that
            of its mask, or several categories occur of which none is `particle`.
    """
    if isinstance(data, Mapping) and data.get("categories") is None:
        data = {**data, "categories": []}
    check_sections(data, origin)
    images = [{**dict.fromkeys(OWN_IMAGE_KEYS), **image} for image in data["images"]]
    check_images(images, origin)
    of_id = {image["id"]: image for image in images}
    left_out = Counter()
    particles = []
    for position, annotation in enumerate(_of_particles(data, origin, left_out)):
        if not _is_ours(annotation):
            where = f"{origin}: particle {annotation.get('id', f'at position {position}')}"
            annotation = _completed_particle(annotation, of_id, where)
            if annotation["area"] == 0:
                left_out["without a pixel"] += 1
                continue
        particles.append(annotation)
    for reason, count in left_out.items():
        _logger.warning("%s: %d annotations left out, %s", origin, count, reason)
    return {**data, "images": images, "annotations": particles, "categories": [dict(one) for one in CATEGORIES]}


def _of_particles(data: Mapping[str, Any], origin: str, left_out: Counter[str]) -> list[dict[str, Any]]:
    """The annotations of particles, their category numbered as ours."""
    annotations, categories = data["annotations"], data["categories"]
    used = {one.get("category_id") if _is_id(one.get("category_id")) else None for one in annotations}
    names = {one.get("id"): one.get("name") for one in categories if _is_id(one.get("id"))}
    wanted = {number for number in used if names.get(number) == CATEGORIES[0]["name"]} or used
    if len(wanted) > 1:
        listed = ", ".join(sorted(str(names.get(number, number)) for number in wanted))
        raise AnnotationError(f"{origin}: has annotations of several categories ({listed}); {_CONVERT}, --label tells")
    kept = [one for one in annotations if len(used) == 1 or one.get("category_id") in list(wanted)]
    if len(kept) < len(annotations):
        left_out["of another category"] += len(annotations) - len(kept)
    return [{**one, "category_id": CATEGORIES[0]["id"]} for one in kept]


def _is_ours(annotation: Mapping[str, Any]) -> bool:
    """Whether a record has every key that this project writes, its mask as compressed RLE."""
    rle = annotation.get("segmentation")
    return annotation.keys() >= PARTICLE_KEYS and isinstance(rle, dict) and isinstance(rle.get("counts"), str)


def _completed_particle(
    annotation: Mapping[str, Any], images: Mapping[int, Mapping[str, Any]], where: str
) -> dict[str, Any]:
    """One particle of a file of another program, as this project writes it."""
    number = annotation.get("image_id")
    image = images.get(number) if type(number) is int else None
    if image is None:
        raise AnnotationError(f"{where}: image_id {number!r} is no image of this file")
    rle = _as_rle(annotation.get("segmentation"), (image["height"], image["width"]), where)
    area = rle_area(rle, image, f"{where}: segmentation")
    box = coco_mask.toBbox(rle).tolist() if area else [0.0] * 4
    if area:
        check_box_of_others(annotation.get("bbox"), box, image, where)
    said = annotation.get("iscrowd")
    crowd = {None: 0, "": 0, "0": 0, "1": 1}.get(said, said) if isinstance(said, str | None) else said
    own = {
        "segmentation": rle,
        "area": area,
        "bbox": box,
        "iscrowd": int(crowd) if isinstance(crowd, bool) else crowd,
    }
    return {**dict.fromkeys(OWN_PARTICLE_KEYS), **annotation, **own}


def _as_rle(segmentation: Any, image_shape: tuple[int, int], where: str) -> dict[str, Any]:
    """Compressed RLE of a segmentation in any form."""
    if segmentation in (None, [], {}, ""):
        raise AnnotationError(f"{where}: has no mask, so that nothing can be measured against it; {_CONVERT}")
    try:
        if isinstance(segmentation, Mapping) and {"size", "counts"} & segmentation.keys():
            size = rle_size(segmentation)
            if isinstance(segmentation["counts"], str):
                return dict(segmentation)
            return encode_crops(*decode_rles([segmentation]), size)[0]
        return polygons_to_rles([segmentation], image_shape)[0]
    except ShapeError as cause:
        raise AnnotationError(f"{where}: its segmentation cannot be read ({cause}); {_CONVERT}") from None


def _is_id(value: Any) -> bool:
    """Whether a JSON value can name a record: a whole number or a text."""
    return type(value) in (int, str)
