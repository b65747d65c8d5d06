"""Cuts the agglomerates out of annotated images and counts those that cannot be used."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semsize.sem.reading import read_grey
from semsize.structures.annotations import read_annotations
from semsize.structures.masks import CroppedMasks
from tio2.agglomerates.agglomerate import PARTICLE_KEYS, Agglomerate
from tio2.agglomerates.grouping import JOIN_PX, touching_groups

MARGIN_PX = 6
"""Kept around the particles: their diffuse border, and what rotation needs beyond it."""

CUT_BY_EDGE, CUT_BY_DATA_BAR, ONLY_SPECKS = "cut by the image's edge", "cut by the data bar", "only specks"


def cut_agglomerates(
    image: np.ndarray,
    masks: CroppedMasks,
    particles: list[Mapping[str, Any]],
    *,
    source: str,
    pixel_size_nm: float | None = None,
    join_px: float = JOIN_PX,
    margin_px: int = MARGIN_PX,
    data_bar_px: int = 0,
) -> tuple[list[Agglomerate], Counter[str]]:
    """Agglomerates of one image that lie in it with their whole margin.

    Args:
        image: (H, W) grey levels.
        masks: N masks of it, specks included.
        particles: N annotations.
        source: the image's name.
        pixel_size_nm: of the image.
        join_px: see `touching_groups`.
        margin_px: rows and columns kept around the particles.
        data_bar_px: rows at the image's foot that show no specimen.

    Returns:
        The agglomerates, and how many were left out for which reason.
    """
    height, width = image.shape[0] - data_bar_px, image.shape[1]
    kept, left_out = [], Counter()
    for members in touching_groups(masks, join_px):
        group = masks[members]
        low = group.origins.min(axis=0) - margin_px
        high = (group.origins + group.sizes).max(axis=0) + margin_px
        if all(particles[i].get("iscrowd") for i in members):
            left_out[ONLY_SPECKS] += 1
        elif min(low) < 0 or high[1] > width or (high[0] > height and not data_bar_px):
            left_out[CUT_BY_EDGE] += 1
        elif high[0] > height:
            left_out[CUT_BY_DATA_BAR] += 1
        else:
            top, left, bottom, right = (int(edge) for edge in (*low, *high))
            crop = image[top:bottom, left:right].astype(np.float32)
            known = tuple({k: particles[i][k] for k in PARTICLE_KEYS if k in particles[i]} for i in members)
            inside = group.crop((left, top, right, bottom))
            kept.append(Agglomerate(crop, inside, known, source, pixel_size_nm))
    return kept, left_out


def cut_dataset(
    ann_file: str | Path, image_folder: str | Path, **options: Any
) -> Iterable[tuple[list[Agglomerate], Counter[str]]]:
    """For each image of an annotation file what `cut_agglomerates` gives, with its options.

    Raises:
        AnnotationError: the file is missing or breaks a rule.
        SEMReadError: an image is missing or cannot be read.
        ValueError: an image has not the size that its annotations name.
    """
    for record, image, masks, particles in annotated_images(ann_file, image_folder):
        source, size = record["file_name"], record["pixel_size_nm"]
        yield cut_agglomerates(image, masks, particles, source=source, pixel_size_nm=size, **options)


def annotated_images(
    ann_file: str | Path, image_folder: str | Path
) -> Iterable[tuple[dict, np.ndarray, CroppedMasks, list[dict]]]:
    """Image record, grey levels (H, W), masks and annotations of each image of an annotation file, in its order."""
    data = read_annotations(ann_file)
    for record in data["images"]:
        path = Path(image_folder) / record["file_name"]
        image = read_grey(path)
        shape = (record["height"], record["width"])
        if image.shape != shape:
            raise ValueError(f"{path}: is {image.shape} px, but {ann_file} says {shape}; take the image it belongs to")
        particles = [p for p in data["annotations"] if p["image_id"] == record["id"]]
        yield record, image, CroppedMasks.from_rles([p["segmentation"] for p in particles], shape), particles
