"""Denoise, threshold, distance transform, h-maxima, watershed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from semsize.structures.masks import CroppedMasks
from tio2.baselines.thresholds import THRESHOLDS

BAND_PX = 2
"""Width of the bands inside and outside an outline between which the contrast is taken."""


@dataclass(frozen=True)
class Parameters:
    """What is searched for.

    Attributes:
        blur_px: standard deviation of the Gaussian that takes the noise away; 0 for none.
        threshold: a name of `THRESHOLDS`.
        opening_px: radius of the opening that cuts thin bridges; 0 for none.
        smoothing_px: standard deviation of the Gaussian over the distances; 0 for none.
        h_px: maxima of the distance lower than this above their surroundings are joined to a neighbour's.
        min_area_px: smaller particles are left out.
    """

    blur_px: float
    threshold: str
    opening_px: int
    smoothing_px: float
    h_px: float
    min_area_px: int


def segment(image: np.ndarray, parameters: Parameters) -> CroppedMasks:
    """Particles of an image (H, W) of grey levels, brighter than their background."""
    image = np.asarray(image, np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), parameters.blur_px) if parameters.blur_px else image
    foreground = ndimage.binary_fill_holes(THRESHOLDS[parameters.threshold](blurred)).astype(np.uint8)
    if parameters.opening_px:
        side = 2 * parameters.opening_px + 1
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        foreground = cv2.morphologyEx(foreground, cv2.MORPH_OPEN, disk)
    distance = cv2.distanceTransform(np.pad(foreground, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    if parameters.smoothing_px:
        distance = cv2.GaussianBlur(distance, (0, 0), parameters.smoothing_px) * foreground
    markers = ndimage.label(_maxima(distance, parameters.h_px), np.ones((3, 3)))[0]
    labels = watershed(-distance, markers, mask=foreground > 0)
    masks = CroppedMasks.from_label_image(labels)
    return masks[masks.areas >= parameters.min_area_px]


def contrast_scores(image: np.ndarray, masks: CroppedMasks) -> np.ndarray:
    """Mean grey level inside the outlines less that outside, in bands of 2 px, over the full scale: (N,) in 0 to 1.

    This is the score by which average precision ranks the particles; the outside may be a neighbour.
    """
    return np.array([_contrast(image, crop, origin) for crop, origin in masks], np.float64).reshape(-1)


def _maxima(distance: np.ndarray, h_px: float) -> np.ndarray:
    """(H, W) bool: regional maxima that rise by at least ``h_px`` over the saddle to a higher one."""
    lowered = reconstruction(distance - max(h_px, 1e-3), distance, method="dilation")
    peaks = distance - lowered
    return (distance > 0) & (peaks >= max(h_px, 1e-3) - 1e-4)


def _contrast(image: np.ndarray, crop: np.ndarray, origin: tuple[int, int]) -> float:
    row, column = origin
    top, left = max(row - BAND_PX, 0), max(column - BAND_PX, 0)
    window = image[top : row + crop.shape[0] + BAND_PX, left : column + crop.shape[1] + BAND_PX]
    mask = np.zeros(window.shape, np.uint8)
    mask[row - top : row - top + crop.shape[0], column - left : column - left + crop.shape[1]] = crop
    kernel = np.ones((2 * BAND_PX + 1, 2 * BAND_PX + 1), np.uint8)
    inner = (mask > 0) & (cv2.erode(mask, kernel, borderValue=0) == 0)
    outer = (mask == 0) & (cv2.dilate(mask, kernel) > 0)
    if not outer.any():
        return 0.0
    return float(np.clip((window[inner].mean() - window[outer].mean()) / 255, 0, 1))
