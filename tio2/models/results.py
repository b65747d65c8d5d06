"""MMDetection's inferencer and visualizer for masks in RLE, which thousands of particles need instead of full frames.

from tio2.models.results import DenseDetInferencer
DenseDetInferencer("configs/tio2/light_stage2.py", "epoch_12.pth")("image.tif", out_dir="found")
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.structures import InstanceData

from semsize.measuring.overlays import fill, outline
from semsize.structures.masks import CroppedMasks

HUES = 12


class DenseDetInferencer(DetInferencer):
    """DetInferencer whose results carry the masks as RLE and whose images are read as SEM images.

    Arguments and calls are upstream's. For pictures the config's visualizer should be `DenseDetVisualizer`.
    """

    def _init_pipeline(self, cfg: Config) -> Callable[[str | np.ndarray], dict]:
        """Return the test pipeline as a function of a file's path or an array (H, W, 3) of grey levels 0-255."""
        steps = cfg.test_dataloader.dataset.pipeline
        from_file, from_array = Compose(steps), Compose(steps[1:])

        def run(source: str | np.ndarray) -> dict:
            if isinstance(source, str):
                return from_file({"img_path": source, "img_id": 0})
            shape = source.shape[:2]
            image = source.astype(np.float32)
            return from_array({"img": image, "img_shape": shape, "ori_shape": shape, "img_path": "", "img_id": 0})

        return run

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = "") -> dict:
        """Return an image's results as plain numbers, masks as COCO RLEs, and write them to `pred_out_dir`/preds."""
        masks = data_sample.pred_instances.masks
        without = data_sample.new()
        without.pred_instances = data_sample.pred_instances.new()
        without.pred_instances.pop("masks")
        result = {**super().pred2dict(without), "masks": list(masks)}
        if pred_out_dir:
            name = Path(data_sample.img_path).stem or str(self.num_predicted_imgs)
            self.num_predicted_imgs += 1
            mmengine.dump(result, str(Path(pred_out_dir) / "preds" / f"{name}.json"))
        return result


@VISUALIZERS.register_module()
class DenseDetVisualizer(DetLocalVisualizer):
    """DetLocalVisualizer for masks that are a list of COCO RLE, or cropped masks as the loader makes them.

    It draws their masks alone, each in one of a few colours: boxes and scores of thousands of particles would hide
    them. Instances with masks of another type, or none, are drawn by MMDetection.
    """

    def _draw_instances(
        self, image: np.ndarray, instances: InstanceData, classes: list[str] | None, palette: list[tuple] | None
    ) -> np.ndarray:
        masks = cropped_masks(instances.get("masks"), image.shape[:2])
        if masks is None:
            return super()._draw_instances(image, instances, classes, palette)
        drawn = draw_masks(image, masks)
        self.set_image(drawn)
        return drawn


def cropped_masks(masks: Any, image_shape: tuple[int, int]) -> CroppedMasks | None:
    """Return an image's masks from a list of RLE or an object with `cropped`; None for anything else."""
    if isinstance(masks, list):
        return CroppedMasks.from_rles(masks, image_shape)
    return getattr(masks, "cropped", None)


def draw_masks(image: np.ndarray, masks: CroppedMasks) -> np.ndarray:
    """Return a copy of an image (H, W, 3) uint8 RGB in which each mask is tinted and outlined."""
    hues = np.array([[[180 * i // HUES, 200, 255] for i in range(HUES)]], np.uint8)
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)[0]
    drawn = image.copy()
    for number in range(len(masks)):
        colour = colours[number * 5 % HUES]  # neighbours in the list are far apart in hue
        fill(drawn, masks[number], colour, 1)
        outline(drawn, masks[number], colour, 1, width=1)
    return drawn
