"""`corrections.json` goes through CVAT's COCO and back: ids, categories, attributes, polygons, holes as RLE."""

import json

import numpy as np
import pytest

from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.shapes import ellipse_mask, stroke_mask
from semsize.exchange.shapes import mask_polygons, ring_area
from semsize.measuring import MeasurementSettings, measure
from semsize.measuring.inputs import find_images
from semsize.measuring.outline_files import outlines_from_coco
from semsize.structures import read_annotations
from semsize.structures.masks import CroppedMasks


def corrected(results):
    """Both images: a ring, an ellipse with a state, and a scale bar."""
    for image in results.images:
        with results.open_log(image, results.detected(image)) as log:
            state = log.corrections
            log.apply(state.add(ellipse_mask((130, 60), (12, 9), image.shape), "masked"))
            log.apply(state.push(state.next_id - 1, stroke_mask([(130, 60)], 4, image.shape), adds=False))
            log.apply(state.add(ellipse_mask((20, 100), (8, 8), image.shape), "complete"))
            log.apply(state.delete([1]))
    results.keep_scale(results.images[1], DrawnScale((10.0, 10.0, 110.0, 10.0), 200.0, 1.0))
    return read_annotations(results.write_annotations())


def uncompressed(rle):
    """COCO's RLE as a list of counts, down the columns, background first."""
    flat = CroppedMasks.from_rles([rle]).union().ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, len(flat)]).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": rle["size"]}


def as_cvat_writes(data, first_id, *, as_masks):
    """What an export "COCO 1.0" of CVAT holds of the same outlines, its ids from `first_id` on.

    A label of the project that is no particle comes first. Polygons have two decimals; what has a hole, or was drawn
    as a mask, is an RLE with a list of counts. States are attributes, among CVAT's own.
    """
    images = {image["id"]: number for number, image in enumerate(data["images"], first_id)}
    annotations = []
    for number, particle in enumerate(data["annotations"], first_id):
        (mask,) = CroppedMasks.from_rles([particle["segmentation"]])
        rings = mask_polygons(*mask)
        has_hole = any(ring_area(ring) < 0 for ring in rings)
        segmentation = (
            uncompressed(particle["segmentation"])
            if as_masks or has_hole
            else [[round(float(value), 2) for value in ring.ravel()] for ring in rings]
        )
        attributes = {"occluded": False, "rotation": 0.0}
        if particle["state"]:
            attributes["state"] = particle["state"]
        annotations.append({
            "id": number, "image_id": images[particle["image_id"]], "category_id": first_id + 1,
            "segmentation": segmentation, "area": float(particle["area"]), "bbox": particle["bbox"],
            "iscrowd": 0, "attributes": attributes,
        })  # fmt: skip
    records = [
        {
            **{key: image[key] for key in ("width", "height", "file_name")}, "id": images[image["id"]],
            "license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0,
        }
        for image in data["images"]
    ]  # fmt: skip
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [
            {"id": first_id, "name": "scale bar", "supercategory": ""},
            {"id": first_id + 1, "name": "particle", "supercategory": ""},
        ],
        "images": records,
        "annotations": annotations,
    }


@pytest.mark.parametrize("first_id", [0, 1])
@pytest.mark.parametrize("as_masks", [False, True])
def test_outlines_and_states_come_back(results, measured_once, tmp_path, first_id, as_masks):
    data = corrected(results)
    cvat = as_cvat_writes(data, first_id, as_masks=as_masks)
    kinds = {type(each["segmentation"]) for each in cvat["annotations"]}
    assert kinds == ({dict} if as_masks else {dict, list})
    file = tmp_path / "instances_default.json"
    file.write_text(json.dumps(cvat), encoding="utf-8")
    files = find_images([measured_once / "scans"], tmp_path / "back")
    back = measure(files, tmp_path / "back", outlines_from_coco(file, files), MeasurementSettings())
    assert not back.skipped
    expected = [each["area"] for each in data["annotations"]]
    np.testing.assert_array_equal(back.table["area_px"], expected)
    assert back.table.states == [each["state"] for each in data["annotations"]]


def test_outlines_that_cvat_marks_as_crowds_are_named_and_taken_when_asked_for(results, measured_once, tmp_path):
    data = corrected(results)
    cvat = as_cvat_writes(data, 1, as_masks=True)
    for annotation in cvat["annotations"]:
        annotation["iscrowd"] = 1
    file = tmp_path / "instances_default.json"
    file.write_text(json.dumps(cvat), encoding="utf-8")
    files = find_images([measured_once / "scans"], tmp_path / "back")
    source = outlines_from_coco(file, files)
    assert any("ALL annotations marked as crowds" in note for note in source.notes)
    taken = measure(
        files, tmp_path / "back", outlines_from_coco(file, files, crowds_as_particles=True), MeasurementSettings()
    )
    assert len(taken.table) == len(data["annotations"])
