"""Where the time of one whole-image inference goes: network, non-maximum suppression, masks, encoding.

python tools/benchmarks/profile_inference.py configs/tio2/light_stage2.py
python tools/benchmarks/profile_inference.py configs/tio2/light_stage2.py work_dirs/light_stage2/epoch_12.pth

Without weights the network is as it is made; the 500 best-scored boxes are kept whatever they are, so that 500 masks
are drawn. Time is the processor's, of one thread.
"""

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np

from semsize.measuring.overlays import write_png
from semsize.measuring.tables import markdown_table
from semsize.sem import read_grey
from tio2.cli import quiet_imports

with quiet_imports():
    import torch
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    from tio2.engine.processes import keep_freed_memory
    from tio2.inference import Detector

PARTS = {  # name: functions whose time, with what they call, is its own
    "network: backbone, FPN": [("two_stage.py", "extract_feat")],
    "network: RPN": [("anchor_head.py", "forward")],
    "network: box head": [("standard_roi_head.py", "_bbox_forward")],
    "network: mask head": [("standard_roi_head.py", "_mask_forward")],
    "non-maximum suppression": [("nms.py", "batched_nms")],
    "masks": [("mask_head.py", "paste_masks")],
    "encoding (of masks)": [("rle.py", "encode_crops")],
    "decoding to crops": [("masks.py", "from_rles")],
    "reading, preparing": [
        ("reading.py", "read_grey"),
        ("inference.py", "_packed"),
        ("mmdet/models/data_preprocessors/data_preprocessor.py", "forward"),
    ],
}


def image(shape: tuple[int, int], particles: int) -> np.ndarray:
    """Bright blobs on dark noise, (H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    grey = rng.normal(40, 8, shape)
    rows, columns = np.mgrid[-30:31, -30:31]
    for row, column in rng.integers((30, 30), (shape[0] - 31, shape[1] - 31), (particles, 2)):
        radius = rng.uniform(8, 30)
        grey[row - 30 : row + 31, column - 30 : column + 31] += 40 * (rows**2 + columns**2 < radius**2)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def initial_weights(config: Config, folder: Path) -> Path:
    """A checkpoint of the model as it is made."""
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    torch.save({"state_dict": model.state_dict(), "meta": {}}, folder / "initial.pth")
    return folder / "initial.pth"


def seconds_of(profile: cProfile.Profile) -> dict[str, float]:
    """CPU seconds of each part, the rest, and all."""
    spent = {name: 0.0 for name in PARTS}
    stats = pstats.Stats(profile).stats
    for (file, _, function), (*_, cumulative, _) in stats.items():
        for name, functions in PARTS.items():
            if any(function == wanted and file.endswith(end) for end, wanted in functions):
                spent[name] += cumulative
    spent["masks"] -= spent["encoding (of masks)"]
    total = pstats.Stats(profile).total_tt
    return {**spent, "the rest": total - sum(spent.values()), "all": total}


def main() -> None:
    """Draw an image, look at it, print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    parser.add_argument("checkpoint", nargs="?", help="weights (default: as the network is made)")
    parser.add_argument("--particles", type=int, default=500, help="found in the image (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(2048, 1536), metavar=("W", "H"), help="of the image, px")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    register_all_modules()
    config = Config.fromfile(arguments.config)
    config.merge_from_dict(
        {"model.test_cfg.rcnn.score_thr": 0.0, "model.test_cfg.rcnn.max_per_img": arguments.particles}
    )
    profile = cProfile.Profile(time.process_time)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        write_png(file, image(arguments.size[::-1], arguments.particles))
        detect = Detector(config, arguments.checkpoint or initial_weights(config, Path(folder)))
        detect([np.zeros((64, 64), np.float32)])  # what is loaded once is no part of an image's time
        profile.enable()
        (found,) = detect([read_grey(file)])
        profile.disable()
    spent = seconds_of(profile)
    rows = [[name, seconds, 100 * seconds / spent["all"]] for name, seconds in spent.items()]
    print(f"{arguments.config}: {len(found.masks)} particles in {arguments.size[0]} x {arguments.size[1]} px")
    print(markdown_table(["part", "CPU s", "share, %"], rows, decimals=2))


if __name__ == "__main__":
    main()
