"""Compare time and memory of the dense-image engine with MMDetection's own; docs/notebook/dense.md has the result.

Time is CPU time of one thread. It runs on Linux.

python tools/benchmarks/dense.py --figure docs/figures/dense_time.png     # minutes: MMDetection's side takes most
python tools/benchmarks/dense.py --quick                                  # seconds: small counts, two repeats
"""

import argparse
import ctypes
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semsize.measuring.tables import markdown_table
from semsize.structures.masks import CroppedMasks
from semsize.structures.rle import polygons_to_rles
from tio2.cli import required_imports

with required_imports():
    import torch
    from mmcv.transforms import Compose
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from mmdet.registry import TRANSFORMS
    from mmdet.structures.mask import BitmapMasks, PolygonMasks, mask_target
    from mmdet.structures.mask.utils import encode_mask_results
    from mmdet.utils import register_all_modules
    from mmengine.config import ConfigDict
    from mmengine.structures import InstanceData
    from pycocotools import mask as coco_mask

    from tio2.datasets import InstanceCroppedMasks
    from tio2.models import DenseFCNMaskHead

IMAGE_SHAPE = (1536, 2048)
CELLS = 56
CROP = (1024, 1024)
CORNERS = 24


@dataclass(frozen=True)
class Scene:
    """Ellipses of 15 to 60 px anywhere in the frame, as a mask head's output and as truth."""

    logits: torch.Tensor  # (N, 1, 56, 56), signed distance in pixels
    boxes: torch.Tensor  # (N, 4) xyxy, cut by the frame
    polygons: list[list[float]]  # N of flat x, y


@dataclass(frozen=True)
class Cost:
    """Median CPU seconds of one thread over the repeats, and the rise of the peak memory in the first repeat."""

    seconds: float
    megabytes: float


def scene(count: int, seed: int = 0) -> Scene:
    """Draw a scene of `count` ellipses."""
    rng = np.random.default_rng(seed)
    height, width = IMAGE_SHAPE
    axes = rng.uniform(7.5, 30, (count, 2))
    centres = rng.uniform((0, 0), (width, height), (count, 2))
    boxes = np.clip(np.hstack([centres - axes, centres + axes]), 0, [width, height, width, height])
    steps = (np.arange(CELLS) + 0.5) / CELLS
    x, y = (
        (boxes[:, None, i] + steps * (boxes[:, None, i + 2] - boxes[:, None, i]) - centres[:, None, i])
        / axes[:, None, i]
        for i in (0, 1)
    )  # (N, 56)
    radius = np.sqrt(x[:, None, :] ** 2 + y[:, :, None] ** 2)
    logits = (1 - radius) * np.sqrt(axes.prod(axis=1))[:, None, None]
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    outlines = centres[:, None] + axes[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outlines = np.clip(outlines, 0, [width, height])
    seen = torch.from_numpy(logits).float()[:, None], torch.from_numpy(boxes).float()
    return Scene(*seen, outlines.reshape(count, -1).tolist())


def peak_megabytes() -> float:
    """Most memory that this process has held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cost(make: Callable[[int], Callable[[], Any]], count: int, repeats: int) -> Cost:
    """Run the work that `make` prepares for `count` instances in its own process, forked from this one.

    Its peak then holds no other work's memory. A small work first takes the memory that libraries take only once.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    small, work = make(2), make(count)

    def child() -> None:
        small()
        ctypes.CDLL(None).malloc_trim(0)  # return free memory, so that using it again counts
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        before, seconds, peaks = peak_megabytes(), [], []
        for _ in range(repeats):
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
            peaks.append(peak_megabytes())
        sender.send((statistics.median(seconds), peaks[0] - before))

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        return Cost(*receiver.recv())
    except EOFError:
        sys.exit("error: the system ended a measurement, probably for memory; lower --stock-most")
    finally:
        process.join()


def masks_of(truth: Scene) -> CroppedMasks:
    """The ellipses' polygons rasterised."""
    return CroppedMasks.from_rles(polygons_to_rles([[outline] for outline in truth.polygons], IMAGE_SHAPE))


def results_of(truth: Scene) -> InstanceData:
    """Detections as the box head leaves them."""
    count = len(truth.boxes)
    return InstanceData(
        bboxes=truth.boxes.clone(), scores=torch.ones(count), labels=torch.zeros(count, dtype=torch.long)
    )


def pasting(truth: Scene, head: FCNMaskHead) -> Callable[[], list[dict]]:
    """Turn logits into RLE by a mask head; frames are encoded as in MMDetection's COCO metric."""
    meta, settings = {"ori_shape": IMAGE_SHAPE, "scale_factor": (1.0, 1.0)}, ConfigDict(mask_thr_binary=0.5)

    def work() -> list[dict]:
        (found,) = head.predict_by_feat((truth.logits,), [results_of(truth)], [meta], settings, rescale=True)
        return found.masks if isinstance(found.masks, list) else encode_mask_results(found.masks.numpy())

    return work


def loading(truth: Scene, load: dict, masks: Sequence[Any]) -> Callable[[], Any]:
    """Load, flip, crop and pack an image of one byte a pixel, so that the masks' cost dominates."""
    flip_crop_pack = [
        {"type": "RandomFlip", "prob": 1.0},
        {"type": "RandomCrop", "crop_size": CROP, "allow_negative_crop": True},
        {"type": "PackDetInputs", "meta_keys": ()},
    ]
    pipeline = Compose([TRANSFORMS.build(step) for step in (load, *flip_crop_pack)])
    instances = [
        {"bbox": box, "bbox_label": 0, "ignore_flag": 0, "mask": mask}
        for box, mask in zip(truth.boxes.tolist(), masks, strict=True)
    ]

    def work() -> Any:
        np.random.seed(0)  # noqa: NPY002 - the stock transforms draw from it
        image = np.zeros((*IMAGE_SHAPE, 1), np.uint8)
        shapes = {"img_shape": IMAGE_SHAPE, "ori_shape": IMAGE_SHAPE, "img_path": "rendered"}
        return pipeline({"img": image, "instances": instances, **shapes})

    return work


def targets(truth: Scene, masks: Any, positives: int) -> Callable[[], torch.Tensor]:
    """Mask targets of proposals up to a tenth of a side off the truths."""
    rng = torch.Generator().manual_seed(0)
    indices = torch.randint(0, len(truth.boxes), (positives,), generator=rng)
    boxes = truth.boxes[indices]
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = boxes + 0.1 * sides * (2 * torch.rand(boxes.shape, generator=rng) - 1)
    moved = moved.clamp(torch.zeros(4), torch.tensor(IMAGE_SHAPE[::-1] * 2).float())
    return lambda: mask_target([moved], [indices], [masks], ConfigDict(mask_size=CELLS))


def pasting_costs(counts: Sequence[int], stock_most: int, repeats: int) -> tuple[dict[int, Cost], dict[int, Cost]]:
    """Costs of logits to RLE by number of instances: stock (up to `stock_most` instances), ours."""
    stock_head, our_head = (kind(num_convs=0, num_classes=1) for kind in (FCNMaskHead, DenseFCNMaskHead))
    ours = {count: cost(lambda n: pasting(scene(n), our_head), count, 3 * repeats) for count in counts}
    stock = {n: cost(lambda n: pasting(scene(n), stock_head), n, repeats) for n in counts if n <= stock_most}
    return stock, ours


def loading_costs(count: int, repeats: int) -> list[tuple[str, Cost, Cost]]:
    """Costs of loading `count` truths: name, stock, ours."""

    def from_polygons(step: dict, number: int) -> Callable[[], Any]:
        truth = scene(number)
        return loading(truth, step, [[outline] for outline in truth.polygons])

    def from_rles(step: dict, number: int) -> Callable[[], Any]:
        truth = scene(number)
        return loading(truth, step, masks_of(truth).to_rles())

    stock, ours = {"type": "LoadAnnotations", "with_mask": True}, {"type": "LoadParticleAnnotations"}
    rows = []
    for name, make, step in (
        ("BitmapMasks, from RLE", from_rles, stock),
        ("PolygonMasks, from polygons", from_polygons, {**stock, "poly2mask": False}),
    ):
        costs = cost(partial(make, step), count, repeats), cost(partial(make, ours), count, 3 * repeats)
        rows.append((f"load, flip, crop, pack {count} truths; {name}", *costs))
    return rows


def target_costs(count: int, positives: int, repeats: int) -> list[tuple[str, Cost, Cost]]:
    """Costs of the mask targets of `positives` proposals of `count` truths: name, stock, ours."""

    def make(hold: Callable[[Scene], Any], number: int) -> Callable[[], Any]:
        truth = scene(number)
        return targets(truth, hold(truth), min(number, positives))

    def frames(truth: Scene) -> BitmapMasks:
        return BitmapMasks(masks_of(truth).to_full(), *IMAGE_SHAPE)

    def polygons(truth: Scene) -> PolygonMasks:
        return PolygonMasks([[np.array(outline)] for outline in truth.polygons], *IMAGE_SHAPE)

    ours = cost(partial(make, lambda truth: InstanceCroppedMasks(masks_of(truth))), count, 3 * repeats)
    return [
        (f"mask targets, {positives} positives; {name}", cost(partial(make, hold), count, repeats), ours)
        for name, hold in (("BitmapMasks", frames), ("PolygonMasks", polygons))
    ]


def row(name: str, stock: Cost, ours: Cost) -> list[object]:
    """A row of the table of both costs and their ratios."""
    ratios = stock.seconds / ours.seconds, stock.megabytes / max(ours.megabytes, 0.1)
    values = (1e3 * stock.seconds, 1e3 * ours.seconds, ratios[0], stock.megabytes, ours.megabytes, ratios[1])
    return [name, *map(float, values)]


def agreement(count: int) -> float:
    """Mean IoU of the masks that MMDetection's head and ours draw from the same logits."""
    stock, ours = (
        pasting(scene(count), kind(num_convs=0, num_classes=1))() for kind in (FCNMaskHead, DenseFCNMaskHead)
    )
    pairs = zip(stock, ours, strict=True)
    return float(np.mean([coco_mask.iou([a], [b], [0])[0, 0] for a, b in pairs]))


def plot(stock: dict[int, Cost], ours: dict[int, Cost], path: Path) -> None:
    """Draw seconds against instances, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, costs, marker in (("MMDetection", stock, "s"), ("tio2", ours, "o")):
        axes.loglog(list(costs), [c.seconds for c in costs.values()], marker=marker, label=name)
    axes.set_xticks(list(ours), [str(count) for count in ours], minor=False)
    axes.minorticks_off()
    axes.set(xlabel="instances in 2048 × 1536 px", ylabel="logits to RLE, s")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="repeats of MMDetection's side; of ours three times")
    parser.add_argument(
        "--stock-most", type=int, default=512, help="most instances for which MMDetection's masks are made"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="also plot time against instances")
    parser.add_argument("--quick", action="store_true", help="few instances, two repeats")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    register_all_modules()
    counts = (8, 16, 32) if arguments.quick else (64, 128, 256, 512, 1000, 2000, 3000)
    repeats = 2 if arguments.quick else arguments.repeats
    middle, truths, positives = (16, 16, 8) if arguments.quick else (512, 500, 256)
    stock, ours = pasting_costs(counts, arguments.stock_most, repeats)
    rows = [row(f"logits to RLE, {count} instances", stock[count], ours[count]) for count in stock]
    rows += [row(*costs) for costs in loading_costs(truths, repeats)]
    rows += [row(*costs) for costs in target_costs(middle, positives, repeats)]
    header = ["work", "stock, ms", "ours, ms", "faster by", "stock, MB", "ours, MB", "less by"]
    print(markdown_table(header, rows, decimals=1))
    alone = [[count, 1e3 * each.seconds, each.megabytes] for count, each in ours.items()]
    print(markdown_table(["instances", "ours: logits to RLE, ms", "ours, MB"], alone, decimals=1))
    growth = ours[counts[-1]].seconds / ours[middle].seconds
    print(f"growth: t({counts[-1]}) / t({middle}) = {growth:.1f} (instances: {counts[-1] / middle:.1f} times as many)")
    overlap = agreement(min(middle, 128))
    print(f"mean IoU of both sides' masks: {math.floor(overlap * 1e5) / 1e5:.5f}")
    if arguments.figure:
        plot(stock, ours, arguments.figure)
        print(f"plot: {arguments.figure}")


if __name__ == "__main__":
    main()
