"""Peak memory of one training step on a whole image of 2048 x 1536 px with 1000 particles.

python tools/benchmarks/train_memory.py configs/tio2/light_stage2.py
python tools/benchmarks/train_memory.py configs/tio2/mask_rcnn_stage2.py --particles 1000
"""

import argparse
import time

import numpy as np

from semsize.structures.masks import CroppedMasks
from semsize.structures.rle import polygons_to_rles
from tio2.cli import quiet_imports

with quiet_imports():
    import torch
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.structures import InstanceData

    from tio2.datasets import InstanceCroppedMasks
    from tio2.engine.processes import peak_resident_mib

IMAGE_SHAPE = (1536, 2048)
CORNERS = 24


def peak_gb() -> float:
    """Most memory that this process has held."""
    return peak_resident_mib() / 1024


def sample(particles: int) -> dict:
    """Bright ellipses of 15 to 60 px on dark noise, packed as a pipeline packs an image."""
    rng = np.random.default_rng(0)
    height, width = IMAGE_SHAPE
    centres = rng.uniform((30, 30), (width - 30, height - 30), (particles, 1, 2))
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    outlines = centres + rng.uniform(7.5, 30, (particles, 1, 2)) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rles = polygons_to_rles([[outline.ravel().tolist()] for outline in outlines], IMAGE_SHAPE)
    masks = CroppedMasks.from_rles(rles, IMAGE_SHAPE)
    grey = rng.normal(40, 8, IMAGE_SHAPE)
    for crop, (row, column) in masks:
        grey[row : row + crop.shape[0], column : column + crop.shape[1]] += 60 * crop
    truth = DetDataSample(metainfo={"img_shape": IMAGE_SHAPE, "ori_shape": IMAGE_SHAPE, "scale_factor": (1.0, 1.0)})
    truth.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(masks.boxes),
        labels=torch.zeros(particles, dtype=torch.long),
        masks=InstanceCroppedMasks(masks),
    )
    truth.ignored_instances = InstanceData(bboxes=HorizontalBoxes(np.zeros((0, 4), np.float32)))
    image = torch.from_numpy(np.clip(grey, 0, 255)).float()[None].expand(3, -1, -1)
    return {"inputs": [image], "data_samples": [truth]}


def main() -> None:
    """Build, train one step, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    parser.add_argument("--particles", type=int, default=1000, help="in the image (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    register_all_modules()
    torch.manual_seed(0)
    config = Config.fromfile(arguments.config)
    model = MODELS.build(config.model)
    model.init_weights()
    model.train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    built = peak_gb()
    start = time.perf_counter()
    losses = model.train_step(sample(arguments.particles), optimizer)
    seconds = time.perf_counter() - start
    print(
        f"{arguments.config}: {arguments.particles} particles, one step {seconds:.0f} s, loss {losses['loss']:.2f}, "
        f"peak {peak_gb():.2f} GB (libraries and model: {built:.2f} GB)"
    )


if __name__ == "__main__":
    main()
