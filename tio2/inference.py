"""Grey levels to outlines: a trained detector, for whole images in batches or large ones in tiles."""

from collections.abc import Callable, Sequence
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
from semsize.measuring.outlines import Outlines
from semsize.structures.masks import CroppedMasks
from semsize.structures.tiling import merge_tiles, tile_grid
from tio2.engine import CheckpointError, ConfigError, load_checkpoint
from tio2.engine.config import check_settings

Detect = Callable[[Sequence[np.ndarray]], list[Outlines]]
"""Finds particles in some images of grey levels, each (H, W) float32 of 0-255."""


class Detector:
    """A trained detector with the test pipeline of its config; calling it finds the particles of some images."""

    def __init__(self, config: Config, checkpoint: str | Path, device: str | torch.device = "cpu"):
        """Build the model and load its weights.

        Args:
            config: The config that the model was trained with.
            checkpoint: Its weights, a file or an address.
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
                f"{config.filename}: the test pipeline begins with {pipeline[0]['type']}, not LoadSEMImage"
            )
        self.prepare = Compose(pipeline[1:])
        self.model = MODELS.build(config.model)
        weights = load_checkpoint(checkpoint)
        try:
            self.model.load_state_dict(weights.get("state_dict", weights))
        except RuntimeError as error:
            raise CheckpointError(
                f"checkpoint {checkpoint} does not fit {config.filename}; give the config that it was trained with"
            ) from error
        self.model.to(device).eval()

    def __call__(self, images: Sequence[np.ndarray]) -> list[Outlines]:
        """Find the particles of a batch of images, each (H, W) float32 grey levels of 0-255."""
        batch = pseudo_collate([self._packed(image) for image in images])
        with torch.inference_mode():
            samples = self.model.test_step(batch)
        limit, outlines = self.model.test_cfg.rcnn.max_per_img, []
        for sample, image in zip(samples, images, strict=True):
            found = sample.pred_instances
            masks = CroppedMasks.from_rles(found.masks, image.shape)
            note = f"{limit} particles, the model's limit: others may be lost; raise its max_per_img, or give --tile"
            notes = (note,) if len(masks) == limit else ()
            outlines.append(_outlines(masks, found.scores.cpu().numpy(), found.bboxes.cpu().numpy(), notes))
        return outlines

    def _packed(self, image: np.ndarray) -> dict:
        shapes = {"img_shape": image.shape, "ori_shape": image.shape}
        return self.prepare({"img": np.repeat(image[:, :, None], 3, axis=2), "img_id": 0, "img_path": "", **shapes})


def read_detector(config: str | Path, checkpoint: str | Path, device: str | torch.device = "cpu") -> Detector:
    """Build a detector from its config file and weights.

    Raises:
        ConfigError: There is no such config, or it is not for SEM images.
        CheckpointError: The weights cannot be loaded, or are not of this model.
    """
    if not Path(config).is_file():
        raise ConfigError(f"config {config} does not exist; see configs/tio2 for those that do")
    return Detector(Config.fromfile(config), checkpoint, device)


def detect_tiled(detect: Detect, image: np.ndarray, tile: tuple[int, int], batch_size: int = 1) -> Outlines:
    """Find the particles of an image in tiles, each particle once and whole.

    Particles that are larger than the overlap are cut in every tile; they are left out, and a note says how many.

    Args:
        detect: A `Detector`, or another function that finds particles in grey levels.
        image: (H, W) float32 of 0-255.
        tile: Size and overlap of the tiles, px.
        batch_size: Tiles that are detected together.

    Raises:
        ValueError: Tiles of this size cannot share so much.
    """
    tiles = tile_grid(image.shape, *tile)
    batches = [tiles[start : start + batch_size] for start in range(0, len(tiles), batch_size)]
    found = [outlines for batch in batches for outlines in detect([window.cut(image) for window in batch])]
    merged = merge_tiles(tiles, [outlines.masks for outlines in found], image.shape)
    corners = np.array([(window.left, window.top) * 2 for window in tiles], np.float32)  # (T, 4) x, y, x, y
    kept = list(zip(merged.tile, merged.index, strict=True))
    boxes = np.array([found[t].boxes[i] + corners[t] for t, i in kept], np.float32).reshape(-1, 4)
    scores = np.array([found[t].scores[i] for t, i in kept], np.float32)
    cut = f"{merged.left_out} masks cut by a tile's edge and whole in no other tile; raise --overlap"
    return _outlines(merged.masks, scores, boxes, (cut,) if merged.left_out else ())


def _outlines(masks: CroppedMasks, scores: np.ndarray, boxes: np.ndarray, notes: tuple[str, ...]) -> Outlines:
    return Outlines(masks, scores, boxes, (None,) * len(masks), notes)
