"""Time the paste transforms against MMDetection's CopyPaste on the same masks.

python tools/benchmarks/paste.py
python tools/benchmarks/paste.py --ann data/bam-tio2-sem/annotations/train.json

Without --ann the agglomerates come from scenes rendered for the purpose. Seconds are those of one core's work, so that
other programs on the machine don't count; images and library are in memory. Prints a Markdown table.
"""

import argparse
import tempfile
import time
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import quiet_imports

SHAPE = (1536, 2048)
MASKS = 300


def main() -> None:
    """Prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ann", type=Path, help="annotation file (default: rendered scenes)")
    parser.add_argument("--repeats", type=int, default=20, help="images of ours (default: %(default)s)")
    parser.add_argument("--stock-repeats", type=int, default=3, help="images of CopyPaste's (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, one_line_errors(ValueError, OSError), quiet_imports():
        prepare(arguments.ann or render(Path(scratch) / "rendered"), Path(scratch))
        rows, ratio = measure(Path(scratch), arguments.repeats, arguments.stock_repeats)
    print("| 2048 x 1536 px, one core | particles pasted | s an image | images/s |\n|---|---|---|---|")
    for name, particles, seconds in rows:
        print(f"| {name} | {particles:.0f} | {seconds:.3f} | {1 / seconds:.2f} |")
    print(f"\nonto an image with {MASKS} particles PasteAgglomerates is {ratio:.0f} times as fast")


def render(folder: Path) -> Path:
    """An annotation file of a few rendered scenes."""
    from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

    plan = DatasetPlan(RenderSettings(seed=0, shape=(704, 1024), preset="agglomerated", particles=120), 4, (1, 0, 0))
    render_dataset(plan, folder)
    return folder / "annotations" / "train.json"


def prepare(ann_file: Path, folder: Path) -> None:
    """Library and backgrounds."""
    from tio2.agglomerates import AgglomerateLibrary
    from tio2.agglomerates.backgrounds import default_image_folder, make_backgrounds

    images = default_image_folder(ann_file)
    AgglomerateLibrary.from_coco(ann_file, images).save(folder / "library.zip")
    list(make_backgrounds(ann_file, images, folder / "backgrounds", SHAPE, 0))


def measure(folder: Path, repeats: int, stock_repeats: int) -> tuple[list[tuple[str, float, float]], float]:
    """Rows of what, mean particles, mean seconds; and CopyPaste's seconds over ours for the same task."""
    import cv2
    import torch
    from mmdet.datasets.transforms import CopyPaste

    from tio2.datasets import PasteAgglomerates, PasteOnBackground

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    library, backgrounds = str(folder / "library.zip"), str(folder / "backgrounds")
    count = agglomerates_of(library, MASKS)
    new = PasteOnBackground(library, backgrounds, prob=1.0, count_range=(2 * count, 2 * count))
    full = [with_masks(new.transform(empty(k)), MASKS) for k in range(2)]  # two images of as many particles
    new = PasteOnBackground(library, backgrounds, prob=1.0, count_range=(count, count))
    onto = PasteAgglomerates(library, prob=1.0, count_range=(count, count))
    timed(new, [empty(k) for k in range(40)])  # reads library and backgrounds
    timed(onto, [empty(0)])
    rows = [("PasteOnBackground", *timed(new, [empty(100 + k) for k in range(repeats)]))]
    ours = timed(onto, [full[0] | {"sample_seed": (0, k, 0)} for k in range(repeats)], len(full[0]["gt_masks"]))
    rows.append((f"PasteAgglomerates, onto {MASKS} particles", *ours))
    first, second = (as_bitmaps(sample) for sample in full)
    stock = CopyPaste(selected=False)
    pairs = [first | {"mix_results": [dict(second)]} for _ in range(stock_repeats)]
    _, seconds = timed(stock, pairs)
    rows.append((f"CopyPaste, onto {MASKS} particles", len(second["gt_masks"]), seconds))
    return rows, seconds / ours[1] * ours[0] / len(second["gt_masks"])


def timed(transform, samples: list[dict], already: int = 0) -> tuple[float, float]:
    """Mean number of particles pasted and mean seconds."""
    particles, seconds = 0, 0.0
    for sample in samples:
        begun = time.process_time()
        done = transform.transform(dict(sample))
        seconds += time.process_time() - begun
        particles += len(done["gt_masks"]) - already
    return particles / len(samples), seconds / len(samples)


def agglomerates_of(library: str, particles: int) -> int:
    """Agglomerates that hold this many particles on average."""
    import numpy as np

    from tio2.agglomerates import AgglomerateLibrary

    return round(particles / np.mean([len(a.masks) for a in AgglomerateLibrary.load(library)]))


def empty(k: int) -> dict:
    """A sample without particles."""
    import numpy as np
    import torch
    from mmdet.structures.bbox import HorizontalBoxes

    from semsize.structures import CroppedMasks
    from tio2.datasets import InstanceCroppedMasks

    return {
        "img": np.zeros((*SHAPE, 3), np.float32),
        "gt_bboxes": HorizontalBoxes(torch.zeros(0, 4)),
        "gt_bboxes_labels": np.zeros(0, np.int64),
        "gt_ignore_flags": np.zeros(0, bool),
        "gt_masks": InstanceCroppedMasks(CroppedMasks.empty(SHAPE)),
        "sample_seed": (0, k, 0),
    }


def with_masks(sample: dict, count: int) -> dict:
    """The first particles of a sample; the image keeps the others, which nobody looks at here."""
    keys = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks")
    return sample | {key: sample[key][:count] for key in keys}


def as_bitmaps(sample: dict) -> dict:
    """The sample with stock masks."""
    from mmdet.structures.mask import BitmapMasks

    return sample | {"gt_masks": BitmapMasks(sample["gt_masks"].to_ndarray(), *SHAPE)}


if __name__ == "__main__":
    main()
