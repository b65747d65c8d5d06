"""MMDetection's pictures of images with thousands of particles: masks drawn crop by crop, no full frame for each."""

from typing import Any

import cv2
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from semsize.structures.masks import CroppedMasks

HUES = 12
FILL_OPACITY = 0.35
KERNEL = np.ones((3, 3), np.uint8)


@VISUALIZERS.register_module()
class DenseDetVisualizer(DetLocalVisualizer):
    """DetLocalVisualizer for masks that are a list of COCO RLE, or cropped masks as the loader makes them.

    Such instances are drawn by their masks alone, each in one of a few colours: boxes and scores of thousands would
    hide them. Everything else is drawn as upstream draws it.
    """

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple] | None,
    ) -> np.ndarray:
        masks = cropped_masks(instances.get("masks"), image.shape[:2])
        if masks is None:
            return super()._draw_instances(image, instances, classes, palette)
        drawn = draw_masks(image, masks)
        self.set_image(drawn)
        return drawn


def cropped_masks(masks: Any, image_shape: tuple[int, int]) -> CroppedMasks | None:
    """Masks of an image from a list of RLE or from what holds `cropped`; None if they are neither."""
    if isinstance(masks, list):
        return CroppedMasks.from_rles(masks, image_shape)
    return getattr(masks, "cropped", None)


def draw_masks(image: np.ndarray, masks: CroppedMasks) -> np.ndarray:
    """Tint each mask and draw its border pixels.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is.
        masks: N masks of that image.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    hues = np.array([[[180 * i // HUES, 200, 255] for i in range(HUES)]], np.uint8)
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)[0]
    drawn = image.copy()
    for number, (crop, (row, column)) in enumerate(masks):
        if crop.size == 0:
            continue
        window = drawn[row : row + crop.shape[0], column : column + crop.shape[1]]
        colour = colours[number * 5 % HUES]  # neighbours in the list are far apart in hue
        inside = crop > 0
        border = inside & (cv2.erode(np.pad(crop, 1), KERNEL)[1:-1, 1:-1] == 0)
        window[inside] = np.rint((1 - FILL_OPACITY) * window[inside] + FILL_OPACITY * colour)
        window[border] = colour
    return drawn
