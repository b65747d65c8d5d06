"""Mask targets: each particle's crop averaged onto the grid of a box, many boxes at a time, without a full frame."""

import cv2
import numpy as np
import torch
from mmcv.ops import roi_align

from semsize.structures.masks import CroppedMasks

BATCH_PIXELS = 4_000_000
"""At most this many pixels of crops are resampled at a time: 16 MB."""


def mask_targets(
    masks: CroppedMasks,
    boxes: np.ndarray,
    out_shape: tuple[int, int],
    device: str | torch.device,
    longest_side: int | None,
) -> np.ndarray:
    """Share of each grid cell that is mask, as RoIAlign finds it in the full frame.

    Args:
        masks: P masks, one for each box.
        boxes: (P, 4) float32 xyxy in pixels, inside the image.
        out_shape: (h, w) of the grid.
        device: where RoIAlign runs.
        longest_side: larger crops are shrunk to this many pixels first (mini-masks); None leaves them.

    Returns:
        (P, h, w) float32, 0 to 1.
    """
    shares = np.zeros((len(boxes), *out_shape), np.float32)
    sizes = masks.sizes if longest_side is None else np.minimum(masks.sizes, longest_side)
    for part in equal_sized_parts(sizes):
        crops, rois = batch_of_crops(masks[part], boxes[part], longest_side)
        frames = torch.from_numpy(crops).to(device).float()[:, None]  # (K, 1, h', w')
        found = roi_align(frames, torch.from_numpy(rois).to(device), out_shape, 1.0, 0, "avg", True)
        shares[part] = found[:, 0].cpu().numpy()
    return shares


def equal_sized_parts(sizes: np.ndarray) -> list[np.ndarray]:
    """Positions of crops of sizes (P, 2), the smallest first, in parts that padded to one size keep to BATCH_PIXELS.

    A crop that alone exceeds it is a part of its own.
    """
    order = np.argsort(sizes.max(axis=1), kind="stable")
    sides = np.maximum.accumulate(sizes[order], axis=0) + 2
    parts, first = [], 0
    for position in range(1, len(order)):
        if (position + 1 - first) * sides[position].prod() > BATCH_PIXELS:
            parts.append(order[first:position])
            first = position
    return [*parts, order[first:]] if len(order) else []


def batch_of_crops(masks: CroppedMasks, boxes: np.ndarray, longest_side: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Crops padded to one size, so that RoIAlign sees in them what it sees in the full frame.

    RoIAlign holds the outermost pixels fast beyond an array's edge. Inside the image a crop therefore gets a pixel of
    background around it; at the image's lower and right edge its last row and column once more; at the upper and left
    edge nothing, as there the array's edge is the image's.

    Returns:
        (P, h, w) uint8, and (P, 5) float32: each box's number and its corners xyxy within its crop.
    """
    crops = [crop if longest_side is None else _shrunk(crop, longest_side) for crop in masks.crops]
    sizes = np.array([crop.shape for crop in crops]).reshape(-1, 2)
    scales = sizes / np.maximum(masks.sizes, 1)  # (P, 2), 1 but for shrunk crops
    margins = (masks.origins > 0).astype(int)
    at_end = (masks.origins + masks.sizes == masks.image_shape) & (sizes > 0)
    batch = np.zeros((len(crops), *(sizes.max(axis=0) + 2)), np.uint8)
    for frame, crop, (top, left), (at_bottom, at_right) in zip(batch, crops, margins, at_end, strict=True):
        bottom, right = top + crop.shape[0], left + crop.shape[1]
        frame[top:bottom, left:right] = crop
        if at_bottom:
            frame[bottom] = frame[bottom - 1]
        if at_right:
            frame[:, right] = frame[:, right - 1]
    corners = boxes.reshape(-1, 2, 2)[..., ::-1]  # (P, 2 corners, row and column)
    within = (corners - masks.origins[:, None]) * scales[:, None] + margins[:, None]
    rois = np.column_stack([np.arange(len(crops)), within[..., ::-1].reshape(-1, 4)])
    return batch, rois.astype(np.float32)


def _shrunk(crop: np.ndarray, longest_side: int) -> np.ndarray:
    """Reduce a crop whose longer side exceeds `longest_side` to it; a pixel is mask where half of its area is."""
    longest = max(crop.shape)
    if longest <= longest_side:
        return crop
    height, width = (max(round(side * longest_side / longest), 1) for side in crop.shape)
    shares = cv2.resize(crop.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return (shares >= 0.5).astype(np.uint8)
