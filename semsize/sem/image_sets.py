"""Read the images of an annotation file with their grey levels, outlines and annotations."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semsize.sem.reading import read_grey
from semsize.structures import by_image, predictions_by_image, read_annotations, read_predictions
from semsize.structures.masks import CroppedMasks


class OutlinedImage(NamedTuple):
    """One image of an annotation file."""

    record: Mapping[str, Any]  # of the image in the annotation file
    grey: np.ndarray  # (H, W) grey levels, 0 to 255
    outlines: CroppedMasks  # M predicted ones, or those of `particles`, in their order
    particles: list[dict[str, Any]]  # N annotations, including specks and regions to ignore


def default_image_folder(annotations: str | Path) -> Path:
    """Return `images/<split>` beside `annotations/<split>.json`, as the converters write them."""
    annotations = Path(annotations)
    return annotations.parent.parent / "images" / annotations.stem


def outlined_images(
    annotations: str | Path,
    folder: str | Path | None = None,
    predictions: str | Path | None = None,
    min_score: float = 0.0,
) -> Iterator[OutlinedImage]:
    """Yield the images of an annotation file, in its order.

    Args:
        annotations: the annotation file.
        folder: where the images are; None takes `default_image_folder`.
        predictions: predictions file of these images, whose outlines are used except empty masks; None uses the
            annotated particles.
        min_score: predictions with a lower score are left out.

    Raises:
        AnnotationError: the annotation file is missing or breaks a rule.
        PredictionError: the predictions file is missing, breaks a rule, or is of other images.
        SEMReadError: an image is missing or cannot be read.
        ValueError: an image is not of the size in the annotation file.
    """
    data, folder = read_annotations(annotations), Path(folder or default_image_folder(annotations))
    particles = by_image(data["annotations"])
    names = {record["id"]: record["file_name"] for record in data["images"]}
    found = found_outlines(predictions, names, min_score) if predictions else {}
    for record in data["images"]:
        path, shape, number = folder / record["file_name"], (record["height"], record["width"]), record["id"]
        grey = read_grey(path)
        if grey.shape != shape:
            where = f"{path}: is {grey.shape} px, but {annotations} says {shape}"
            raise ValueError(f"{where}; take the image it belongs to")
        rles = found[number] if predictions else [particle["segmentation"] for particle in particles[number]]
        masks = CroppedMasks.from_rles(rles, shape)
        yield OutlinedImage(record, grey, masks[masks.areas > 0] if predictions else masks, particles[number])


def found_outlines(
    predictions: str | Path, names: Mapping[int, str], min_score: float
) -> dict[int, list[dict[str, Any]]]:
    """Return the predicted RLEs of each image id.

    Args:
        predictions: the predictions file.
        names: image id to file name or path, of all images.
        min_score: predictions with a lower score are left out.

    Raises:
        PredictionError: the file is missing or breaks a rule, or the predictions are of other images.
    """
    found = predictions_by_image(read_predictions(predictions), names, predictions)
    return {
        number: [record["segmentation"] for record in found[number] if record["score"] >= min_score] for number in names
    }
