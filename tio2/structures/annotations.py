"""The annotation file: COCO JSON with RLE masks, and what this project adds to it.

Beyond COCO an image says its `pixel_size_nm`, `source` and `configuration`, a particle its `state` and `source_state`;
a rendered particle also carries the truth that only a renderer knows (`amodal_segmentation`, `visible_fraction`,
`truncated`, `ecd_nm`, `feret_min_nm`, `feret_max_nm`). `iscrowd` 1 marks a speck or a region to ignore.
Converters and renderer write through this module, so that one place defines the form.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from tio2.structures.annotation_checks import CATEGORIES, AnnotationError, check_dataset
from tio2.structures.json_files import read_json, write_json


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
    rle = _plain_rle(rle)
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
        "amodal_segmentation": None if amodal_rle is None else _plain_rle(amodal_rle),
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
    """Contents of an annotation file.

    Raises:
        AnnotationError: it is missing, not JSON, or breaks a rule of `validate`.
    """
    data = read_json(path, AnnotationError)
    validate(data, path)
    return data


def _plain_rle(rle: Mapping[str, Any]) -> dict[str, Any]:
    counts = rle["counts"]
    return {
        "size": [int(length) for length in rle["size"]],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }
