"""Scenes in closed form, as masks and COCO dicts: disks and squares with known areas, distances and overlaps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from semsize.structures import dataset, image_entry, particle_entry
from semsize.structures.masks import CroppedMasks


def disks(
    image_shape: tuple[int, int], centres: Sequence[tuple[float, float]], radii_px: Sequence[float]
) -> CroppedMasks:
    """Pixels whose centres (at integers + 0.5) lie within the radius of a centre (row, column), cut by the frame."""
    crops, origins = [], []
    for (row, column), radius in zip(centres, radii_px, strict=True):
        top, left = max(int(row - radius), 0), max(int(column - radius), 0)
        bottom, right = min(int(row + radius) + 1, image_shape[0]), min(int(column + radius) + 1, image_shape[1])
        rows = np.arange(top, bottom)[:, None] + 0.5 - row
        columns = np.arange(left, right)[None, :] + 0.5 - column
        inside = rows**2 + columns**2 <= radius**2
        crop, origin = _tight(inside, (top, left))
        crops.append(crop)
        origins.append(origin)
    return CroppedMasks(tuple(crops), np.array(origins, dtype=np.int64).reshape(-1, 2), image_shape)


def squares(image_shape: tuple[int, int], corners: Sequence[tuple[int, int]], side_px: int) -> CroppedMasks:
    """Full squares of one side, each with its first pixel at a corner (row, column), all inside the frame."""
    crops = tuple(np.ones((side_px, side_px), np.uint8) for _ in corners)
    return CroppedMasks(crops, np.array(corners, dtype=np.int64).reshape(-1, 2), image_shape)


def square_grid(count: int, side_px: int = 6, gap_px: int = 4) -> CroppedMasks:
    """``count`` squares row by row on a square grid, ``gap_px`` apart, in the smallest frame that holds them."""
    columns = int(np.ceil(np.sqrt(count)))
    step = side_px + gap_px
    corners = [(step * (i // columns), step * (i % columns)) for i in range(count)]
    return squares((step * columns, step * columns), corners, side_px)


def shifted(masks: CroppedMasks, rows: int, columns: int) -> CroppedMasks:
    """The masks moved by whole pixels; they must stay in the frame."""
    return CroppedMasks(masks.crops, masks.origins + np.array([rows, columns]), masks.image_shape)


def coco_truth(images: Sequence[CroppedMasks], crowds: Sequence[CroppedMasks] | None = None) -> dict:
    """Annotation file's contents: image ids from 1, ``crowds`` as ``iscrowd`` = 1 after each image's particles."""
    image_records, particles = [], []
    for image_id, masks in enumerate(images, start=1):
        height, width = masks.image_shape
        image_records.append(image_entry(id=image_id, file_name=f"{image_id}.png", height=height, width=width))
        crowd = crowds[image_id - 1] if crowds is not None else masks[:0]
        for iscrowd, group in ((0, masks), (1, crowd)):
            for rle in group.to_rles():
                number = len(particles) + 1
                particles.append(particle_entry(id=number, image_id=image_id, rle=rle, iscrowd=iscrowd))
    return dataset(image_records, particles)


def coco_found(images: Sequence[CroppedMasks], scores: Sequence[Sequence[float]]) -> list[dict]:
    """COCO results, image ids from 1, with the boxes of the masks."""
    return [
        {"image_id": image_id, "category_id": 1, "bbox": box, "score": float(score), "segmentation": rle}
        for image_id, (masks, of_image) in enumerate(zip(images, scores, strict=True), start=1)
        for rle, box, score in zip(masks.to_rles(), coco_boxes(masks), of_image, strict=True)
    ]


def coco_boxes(masks: CroppedMasks) -> list[list[float]]:
    """Boxes as COCO writes them: x, y, width, height in pixels."""
    boxes = masks.boxes.astype(float)
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()


def _tight(inside: np.ndarray, origin: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    if rows.size == 0:
        return np.zeros((0, 0), np.uint8), origin
    crop = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    return crop, (origin[0] + int(rows[0]), origin[1] + int(columns[0]))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """A grey image (H, W) uint8 as a JPEG file gives it back."""
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
