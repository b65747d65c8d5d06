"""The overlays of a whole split: every image of an annotation file with what was found in it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from semsize.measuring.overlays import draw_overlay, write_png
from semsize.metrology.matching import match
from semsize.structures.masks import CroppedMasks

SCORE_DRAWN = 0.5
"""Predictions below it are not drawn: the paper's threshold (Table 1). Average precision counts them all."""


def draw_split(
    truth: Mapping,
    predictions: Sequence[Mapping],
    read_image: Callable[[str], np.ndarray],
    folder: str | Path,
    *,
    min_score: float = SCORE_DRAWN,
) -> list[Path]:
    """Draw each image of `truth` into `folder`, as <its name>.png.

    Args:
        truth: Contents of an annotation file.
        predictions: Contents of a predictions file on these images.
        read_image: From an image's file name to its grey levels, (H, W), 0-255.
        folder: Where the pictures go; made where it is missing.
        min_score: Predictions below it are left out; the legend says so.

    Returns:
        The pictures' paths, in the order of the images.
    """
    true_ones, found_ones = defaultdict(list), defaultdict(list)
    for annotation in truth["annotations"]:
        true_ones[annotation["image_id"]].append(annotation)
    for prediction in predictions:
        if prediction["score"] >= min_score:
            found_ones[prediction["image_id"]].append(prediction)
    paths = []
    for image in tqdm(truth["images"], desc="drawing", unit="image", disable=None):
        particles = [particle for particle in true_ones[image["id"]] if not particle["iscrowd"]]
        specks = _masks([particle for particle in true_ones[image["id"]] if particle["iscrowd"]], image)
        true_masks, found = _masks(particles, image), _masks(found_ones[image["id"]], image)
        picture = draw_overlay(
            read_image(image["file_name"]),
            true_masks,
            found,
            match(true_masks, found, ignored_regions=specks),
            states=[particle["state"] for particle in particles],
            ignored_regions=specks,
            caption=f"{image['file_name']}, score ≥ {min_score:g}",
        )
        paths.append(Path(folder) / f"{Path(image['file_name']).stem}.png")
        write_png(paths[-1], picture)
    return paths


def _masks(records: Sequence[Mapping], image: Mapping) -> CroppedMasks:
    return CroppedMasks.from_rles([record["segmentation"] for record in records], (image["height"], image["width"]))
