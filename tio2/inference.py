"""Images to predictions: a detector from its config and weights, whole images in batches or large ones in tiles."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.structures import InstanceData

import tio2.datasets
import tio2.models  # noqa: F401 - importing both registers what configs name
from semsize.sem.reading import read_grey
from semsize.structures.masks import CroppedMasks
from semsize.structures.rle import Rle
from semsize.structures.tiling import check_tiles, merge_tiles, tile_grid
from tio2.engine import CheckpointError, ConfigError, load_checkpoint, precision_name
from tio2.engine.config import check_settings
from tio2.engine.processes import keep_freed_memory


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image.

    Attributes:
        masks: N masks.
        scores: (N,) float32, 0 to 1.
        boxes: (N, 4) float32 xyxy in pixels, the box branch's own, not the masks' extents.
        left_out: masks that tiles show cut only, and which are therefore not among the N.
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def rles(self) -> list[Rle]:
        """N COCO RLEs, ``counts`` as str."""
        return self.masks.to_rles()


@dataclass(frozen=True)
class Tiling:
    """How large images are looked at: tiles of ``size`` px that share at least ``overlap`` px, the largest particle.

    Raises:
        ValueError: Tiles of this size cannot share so much.
    """

    size: int
    overlap: int

    def __post_init__(self):
        check_tiles(self.size, self.overlap)


Detect = Callable[[Sequence[np.ndarray]], list[Detections]]
"""Finds particles in some images of grey levels, each (H, W) float32 of 0-255."""


class Detector:
    """A trained detector with the test pipeline of its config; calling it finds the particles of some images."""

    def __init__(self, config: Config, checkpoint: str | Path, device: str | torch.device = "cpu"):
        """Build the model and load its weights; on a CPU the process keeps the memory that it frees from then on.

        Args:
            config: The config that the model was trained with.
            checkpoint: Its weights, a file or an address.
            device: Where it runs.

        Raises:
            CheckpointError: The weights cannot be loaded, or are not of this model.
            ConfigError: A setting is unknown, or the test pipeline does not begin by loading an SEM image.
        """
        if torch.device(device).type == "cpu":
            keep_freed_memory()
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

    @property
    def precision(self) -> str:
        """What the model computes in on its device: `float32`, `bfloat16` or `float16`."""
        return precision_name(self.model)

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Find the particles of a batch of images, each (H, W) float32 grey levels of 0-255."""
        batch = pseudo_collate([self._packed(image) for image in images])
        with torch.inference_mode():
            samples = self.model.test_step(batch)
        found = [sample.pred_instances for sample in samples]
        return [_detections(each, image.shape) for each, image in zip(found, images, strict=True)]

    def _packed(self, image: np.ndarray) -> dict:
        shapes = {"img_shape": image.shape, "ori_shape": image.shape}
        return self.prepare({"img": np.repeat(image[:, :, None], 3, axis=2), "img_id": 0, "img_path": "", **shapes})


def read_detector(config: str | Path, checkpoint: str | Path, device: str | torch.device = "cpu") -> Detector:
    """A detector from its config file and weights.

    Raises:
        ConfigError: There is no such config, or it is not for SEM images.
        CheckpointError: The weights cannot be loaded, or are not of this model.
    """
    if not Path(config).is_file():
        raise ConfigError(f"config {config} does not exist; see configs/tio2 for those that do")
    return Detector(Config.fromfile(config), checkpoint, device)


def predict(
    detect: Detect,
    paths: Sequence[str | Path],
    *,
    tiling: Tiling | None = None,
    batch_size: int = 1,
    intensity_range: tuple[float, float] | None = None,
) -> Iterator[tuple[Path, Detections]]:
    """Find the particles of image files, in their order.

    Args:
        detect: A `Detector`, or whatever finds particles in grey levels.
        paths: The files.
        tiling: Look at each image in tiles; None looks at it as a whole.
        batch_size: Images, or tiles of one image, that are looked at together.
        intensity_range: Stored levels that mean black and white, for 16-bit files (see `read_grey`).

    Raises:
        SEMReadError: A file is missing or no image; the message names it.
    """
    for some in _batches(list(map(Path, paths)), batch_size if tiling is None else 1):
        images = [read_grey(path, intensity_range=intensity_range) for path in some]
        if tiling is None:
            yield from zip(some, detect(images), strict=True)
        else:
            yield some[0], detect_tiled(detect, images[0], tiling, batch_size, name=str(some[0]))


def detect_tiled(
    detect: Detect, image: np.ndarray, tiling: Tiling, batch_size: int = 1, name: str = "image"
) -> Detections:
    """Find the particles of an image in tiles, each particle once and whole.

    Particles that tiles show cut only, because they are larger than the overlap, are left out, and a warning says how
    many masks that were.

    Args:
        detect: What finds particles in grey levels.
        image: (H, W) float32 of 0-255.
        tiling: Size and overlap of the tiles.
        batch_size: Tiles looked at together.
        name: What the warning calls the image.
    """
    tiles = tile_grid(image.shape, tiling.size, tiling.overlap)
    found = [each for some in _batches(tiles, batch_size) for each in detect([tile.cut(image) for tile in some])]
    merged = merge_tiles(tiles, [each.masks for each in found], image.shape)
    if merged.left_out:
        print_log(
            f"{name}: {merged.left_out} masks are cut by a tile's edge and whole in no other tile; they are left out. "
            f"Raise the overlap above {tiling.overlap} px if particles are larger",
            logger="current",
            level=logging.WARNING,
        )
    corners = np.array([(tile.left, tile.top) * 2 for tile in tiles], np.float32)  # (T, 4) x, y, x, y
    boxes = [found[tile].boxes[index] + corners[tile] for tile, index in zip(merged.tile, merged.index, strict=True)]
    scores = [found[tile].scores[index] for tile, index in zip(merged.tile, merged.index, strict=True)]
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(merged.masks, np.array(scores, np.float32), boxes, merged.left_out)


def _batches(items: Sequence, size: int) -> list[Sequence]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _detections(found: InstanceData, image_shape: tuple[int, int]) -> Detections:
    masks = CroppedMasks.from_rles(found.masks, image_shape)
    return Detections(masks, found.scores.cpu().numpy(), found.bboxes.cpu().numpy())
