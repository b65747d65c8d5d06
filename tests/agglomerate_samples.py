"""Agglomerates in closed form: disks on a noisy background, and the annotation file of an image of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from scenes import disks
from semsize.structures import CroppedMasks, dataset, image_entry, particle_entry, write_annotations
from tio2.agglomerates import Agglomerate, AgglomerateLibrary


def drawn(masks: CroppedMasks, seed: int = 0, level: float = 40.0, particle: float = 120.0) -> np.ndarray:
    """An image (H, W) float32 of whole grey levels: noise about one level, about another inside masks."""
    union = masks.to_full().any(axis=0) if len(masks) else np.zeros(masks.image_shape, bool)
    noise = np.random.default_rng(seed).normal(0, 4, masks.image_shape)
    return np.clip(np.rint(np.where(union, particle, level) + noise), 0, 255).astype(np.float32)


def agglomerate(radii_px: tuple[float, ...] = (6, 4), margin_px: int = 6, seed: int = 0) -> Agglomerate:
    """Disks in a row, neighbours one empty pixel apart, with the margin around."""
    height = int(2 * max(radii_px)) + 2 * margin_px
    centres, left = [], float(margin_px)
    for radius in radii_px:
        centres.append((height / 2, left + radius))
        left += 2 * radius + 1
    masks = disks((height, int(np.ceil(left)) - 1 + margin_px), centres, radii_px)
    states = ["complete" if i else "masked" for i in range(len(radii_px))]
    return Agglomerate(drawn(masks, seed), masks, tuple({"state": s, "iscrowd": 0} for s in states), f"{seed}.png", 7.0)


def library() -> AgglomerateLibrary:
    """Agglomerates of one to four disks."""
    return AgglomerateLibrary([agglomerate(radii, seed=i) for i, radii in enumerate([(5,), (6, 4), (8, 6, 5, 4)])])


def write_dataset(folder: Path, images: list[CroppedMasks], crowds: tuple[int, ...] = ()) -> Path:
    """Write images and annotations of the split train; `crowds`: annotation ids of specks. Return the file."""
    records, particles = [], []
    (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
    for number, masks in enumerate(images, start=1):
        name, (height, width) = f"{number}.png", masks.image_shape
        cv2.imwrite(str(folder / "images" / "train" / name), drawn(masks, number).astype(np.uint8))
        records.append(image_entry(id=number, file_name=name, height=height, width=width, pixel_size_nm=7.0))
        for rle in masks.to_rles():
            i = len(particles) + 1
            particles.append(particle_entry(id=i, image_id=number, rle=rle, state="complete", iscrowd=int(i in crowds)))
    write_annotations(folder / "annotations" / "train.json", dataset(records, particles))
    return folder / "annotations" / "train.json"
