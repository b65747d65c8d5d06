"""Compare whole-image inference with MMDetection's own path, from the image file to masks for a table of particles.

python tools/benchmarks/inference.py configs/tio2/light_nc.py checkpoints/light_nc.pth --threads 2
python tools/benchmarks/inference.py CONFIG CHECKPOINT --sizes 1024x704 --particles 300 --repeats 1

Images are rendered. Both sides have the same network, weights, test pipeline and thresholds; stock is MaskRCNN with
MMDetection's heads, RoIAlign and full-frame masks, encoded by pycocotools. Each measurement has its own process: a run
that does not count, then the repeats, of which the medians are printed. It runs on Linux.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semsize.measuring.overlays import write_png
from semsize.measuring.tables import markdown_table
from semsize.sem import read_grey
from semsize.structures.masks import CroppedMasks
from semsize.synthesis.rendering import RenderSettings, render_image
from tio2.cli import required_imports

with required_imports():
    import torch
    from mmcv.transforms import Compose
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from mmdet.registry import MODELS
    from mmdet.structures.mask.utils import encode_mask_results
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from torch import Tensor

    from tio2.engine.processes import keep_freed_memory, peak_resident_mib
    from tio2.inference import Detector
    from tio2.models import HighResFCNMaskHead

SEED = 7


@dataclass(frozen=True)
class Cost:
    """Medians over the repeats of CPU seconds (all threads) and clock seconds; peak memory; number of masks."""

    cpu_s: float
    clock_s: float
    peak_gb: float
    masks: int


@MODELS.register_module()
class StockMaskHead(HighResFCNMaskHead):
    """MMDetection's mask head with one more transposed convolution; layers and full-frame masks are MMDetection's."""

    predict_by_feat = FCNMaskHead.predict_by_feat

    def forward(self, x: Tensor) -> Tensor:
        """Mask logits (N, classes, 4 S, 4 S) of RoI features (N, C, S, S), layer by layer."""
        for conv in self.convs:
            x = conv(x)
        x = self.relu(self.upsample2(self.relu(self.upsample(x))))
        return self.conv_logits(x)


def make_stock(config: Config) -> None:
    """Put MMDetection's parts into a model's config."""
    model = config.model
    model.type = "MaskRCNN"
    model.pop("precision", None)
    model.rpn_head.type = "RPNHead"
    model.roi_head.type = "StandardRoIHead"
    for extractor in (model.roi_head.bbox_roi_extractor, model.roi_head.mask_roi_extractor):
        extractor.type = "SingleRoIExtractor"
    model.roi_head.mask_head.type = "StockMaskHead"


def stock(config: Config, checkpoint: Path) -> Callable[[Path], int]:
    """MMDetection's path: read, detect, paste into frames, encode, crop."""
    make_stock(config)
    (scale,) = config.model.test_cfg.scales  # in MMDetection the pipeline enlarges images
    read, *others = config.test_dataloader.dataset.pipeline
    prepare = Compose([read, {"type": "Resize", "scale_factor": scale}, *others])
    model = MODELS.build(config.model).eval()
    weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(weights.get("state_dict", weights))

    def run(path: Path) -> int:
        with torch.inference_mode():
            (sample,) = model.test_step(pseudo_collate([prepare({"img_path": str(path), "img_id": 0})]))
        found = sample.pred_instances
        masks = CroppedMasks.from_rles(encode_mask_results(found.masks.numpy()), sample.ori_shape)
        return len(masks)

    return run


def ours(config: Config, checkpoint: Path) -> Callable[[Path], int]:
    """The path of tools/measure.py, up to its masks."""
    keep_freed_memory()
    detect = Detector(config, checkpoint)
    return lambda path: len(detect(read_grey(path)).masks)


def ours_in_float32(config: Config, checkpoint: Path) -> Callable[[Path], int]:
    """The path of tools/measure.py in single precision throughout."""
    config.model.precision = "float32"
    return ours(config, checkpoint)


SIDES = {"stock, float32": stock, "ours, float32": ours_in_float32, "ours, as configured": ours}


def measure(side: str, config: str, checkpoint: Path, image: Path, threads: int, repeats: int) -> Cost:
    """Measure the costs of one side in this process."""
    torch.set_num_threads(threads)
    register_all_modules()
    run = SIDES[side](Config.fromfile(config), checkpoint)
    run(image)
    cpu, clock, masks = [], [], 0
    for _ in range(repeats):
        before, start = os.times(), time.perf_counter()
        masks = run(image)
        clock.append(time.perf_counter() - start)
        after = os.times()
        cpu.append(after.user - before.user + after.system - before.system)
    peak = peak_resident_mib() / 1024
    return Cost(statistics.median(cpu), statistics.median(clock), peak, masks)


def rendered(size: tuple[int, int], particles: int, folder: Path) -> Path:
    """Render an image of (width, height) px with about this number of particles; return its file."""
    settings = RenderSettings(seed=SEED, shape=size[::-1], preset="agglomerated", particles=particles)
    path = folder / f"{size[0]}x{size[1]}_{particles}.png"
    write_png(path, render_image(settings, 0).pixels)
    return path


def image_size(text: str) -> tuple[int, int]:
    """(width, height) from '1024x704'."""
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    """Render the images, measure all sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("config", help="configs/tio2/….py")
    add("checkpoint", type=Path, help="weights of the config")
    add("--sizes", type=image_size, nargs="+", default=[(1024, 704), (2048, 1536)], metavar="WxH", help="of the images")
    add("--particles", type=int, nargs="+", default=[300, 1000], help="rendered in each image (default: 300 1000)")
    add("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help="paths to measure (default: all)")
    add("--threads", type=int, default=1, help="threads of each process (default: %(default)s)")
    add("--repeats", type=int, default=3, help="runs that count (default: %(default)s)")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("fork")  # imports are not measured
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            for particles in arguments.particles:
                image = rendered(size, particles, Path(folder))
                costs: dict[str, Cost] = {}
                for side in arguments.sides:
                    work = (side, arguments.config, arguments.checkpoint, image, arguments.threads, arguments.repeats)
                    with context.Pool(1) as pool:
                        costs[side] = pool.apply(measure, work)
                first = next(iter(costs.values()))
                for side, cost in costs.items():
                    values = cost.cpu_s, cost.clock_s, first.cpu_s / cost.cpu_s, cost.peak_gb
                    rows.append([f"{size[0]} x {size[1]}", particles, side, cost.masks, *values])
    header = ["image, px", "rendered", "path", "masks", "CPU s", "clock s", "faster by (CPU)", "peak, GB"]
    print(f"{arguments.config}, {arguments.threads} thread(s), medians of {arguments.repeats}")
    print(markdown_table(header, rows, decimals=2))


if __name__ == "__main__":
    main()
