"""A trained detector that turns grey levels into outlines, at its scales, and tile by tile in large images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

import tio2.datasets
import tio2.models  # noqa: F401 - importing both registers what configs name
from semsize.detecting.boxes import limit_message
from semsize.detecting.engine import ALL_SIZES, DrawnSizes
from semsize.detecting.looking import Found, Looking, look, outline_in_box
from semsize.measuring.outlines import Outlines
from semsize.structures.masks import CroppedMasks, Placed
from tio2.engine import ConfigError, load_weights
from tio2.engine.config import check_settings
from tio2.engine.processes import give_back_freed_memory
from tio2.models.detector import DenseMaskRCNN

MOST_FREED_MIB = 2048  # a window of 3 megapixels leaves 1300; only a series of tiles leaves more


class Detector:
    """A trained detector, built from its config; calling it finds the particles of an image."""

    def __init__(self, config: Config, checkpoint: str | Path, device: str | torch.device = "cpu"):
        """Build the model and load its weights.

        Args:
            config: The config that the model was trained with.
            checkpoint: Path or URL of its weights.
            device: Where it runs.

        Raises:
            CheckpointError: The weights cannot be loaded, or are not of this model.
            ConfigError: A setting is unknown, or the test pipeline does not begin by loading an SEM image.
        """
        register_all_modules()
        check_settings(config)
        pipeline = config.test_dataloader.dataset.pipeline
        if pipeline[0]["type"] != "LoadSEMImage":
            raise ConfigError(
                f"{config.filename}: the test pipeline must begin with LoadSEMImage, not {pipeline[0]['type']}"
            )
        self.prepare = Compose(pipeline[1:])
        self.model = MODELS.build(config.model)
        load_weights(self.model, checkpoint, config.filename)
        self.model.to(device).eval()
        self.has_scales = bool(self.model.test_cfg.get("scales"))

    @property
    def looking(self) -> Looking:
        """The scales at which it looks at images: `test_cfg.scales`, or 1 if its test pipeline resizes them."""
        return self.model.looking if self.has_scales else Looking((1.0,))

    def __call__(self, grey: np.ndarray, looking: Looking | None = None, batch_size: int = 1) -> Outlines:
        """Find the particles of an image, each once and whole.

        Args:
            grey: (H, W) float32 grey levels of 0-255.
            looking: Scales and tiles (default: the property `looking`).
            batch_size: Tiles that are detected together.

        Raises:
            ValueError: The tiles' overlap is too large for their size.
        """
        return Outlines.of_look(look(grey, self.engine, looking or self.looking, batch_size))

    def engine(self, windows: Sequence[np.ndarray], scale: float, sizes: DrawnSizes = ALL_SIZES) -> list[Found]:
        """Find the particles of windows of one size, enlarged by `scale` (`semsize.detecting.engine.Engine`)."""
        found = (self.model.find if self.has_scales else self._through_pipeline)(windows, scale, sizes)
        give_back_freed_memory(MOST_FREED_MIB)
        return found

    def fill(self, grey: np.ndarray, box: Sequence[float]) -> Placed:
        """Draw the mask of the particle in a box (`outline_in_box`).

        Raises:
            ConfigError: The model is no DenseMaskRCNN.
        """
        if not isinstance(self.model, DenseMaskRCNN):
            raise ConfigError(f"a {type(self.model).__name__} draws no outline in a box; give a DenseMaskRCNN")
        return outline_in_box(grey, box, self.model.draw)

    def _through_pipeline(self, windows: Sequence[np.ndarray], _: float, __: DrawnSizes = ALL_SIZES) -> list[Found]:
        """Find the particles of windows of one size, resized by the test pipeline; an engine of scale 1."""
        batch = pseudo_collate([self._packed(window) for window in windows])
        with torch.inference_mode():
            samples = self.model.test_step(batch)
        limit, results = self.model.test_cfg.rcnn.get("max_per_img") or 0, []
        for sample, window in zip(samples, windows, strict=True):
            found = sample.pred_instances
            masks = CroppedMasks.from_rles(found.masks, window.shape)
            note = limit_message(len(masks), limit, "rcnn.max_per_img")
            results.append(Found(masks, found.scores.cpu().numpy(), found.bboxes.cpu().numpy(), note))
        return results

    def _packed(self, image: np.ndarray) -> dict:
        shapes = {"img_shape": image.shape, "ori_shape": image.shape}
        return self.prepare({"img": np.repeat(image[:, :, None], 3, axis=2), "img_id": 0, "img_path": "", **shapes})
