"""MMDetection's inferencer for SEM images and masks that are a list of RLE; the room does not import it, it is large.

from tio2.models.dense_inferencer import DenseDetInferencer
DenseDetInferencer("configs/tio2/light_stage2.py", "epoch_12.pth")("image.tif", out_dir="found")
"""

from collections.abc import Callable
from pathlib import Path

import mmengine
import numpy as np
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample
from mmengine.config import Config


class DenseDetInferencer(DetInferencer):
    """DetInferencer whose results carry the masks as RLE and whose images are read as SEM images.

    Arguments and calls are upstream's. For pictures the config's visualizer should be `DenseDetVisualizer`.
    """

    def _init_pipeline(self, cfg: Config) -> Callable[[str | np.ndarray], dict]:
        """The test pipeline behind a step that takes a file's path, or an array (H, W, 3) of grey levels 0-255."""
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
        """An image's results as plain numbers, `masks` being COCO RLEs; also written to `pred_out_dir`/preds."""
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
