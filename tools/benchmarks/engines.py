"""Whether a model archive finds what torch finds, and how fast each is.

python tools/benchmarks/engines.py configs/tio2/light_nc.py checkpoints/light_nc.pth light_nc.semsize \
    --truth data/bam-tio2-sem/annotations/val.json --images data/bam-tio2-sem/images/val
python tools/benchmarks/engines.py CONFIG CHECKPOINT ARCHIVE --images scans --timed 1 --pairs 3 --threads 1

Torch computes in float32. Detections of a score above 0.05 match where their masks' IoU is 0.98 or more; D50 is the
median equivalent circular diameter from score 0.5. Seconds are medians over pairs of runs of the timed images, the two
engines by turns, after one that does not count. Exit code 1: fewer than 99 % match, AP differs by more than 0.002, or
D50 by more than 0.1 %.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from semsize.cli import one_line_errors
from semsize.detecting.archive import ArchiveError, read_archive
from semsize.detecting.looking import Looking, look
from semsize.detecting.onnx import OnnxEngine
from semsize.measuring.inputs import OPERATING_SCORE, InputError, find_images
from semsize.measuring.outlines import Outlines
from semsize.measuring.tables import markdown_table
from semsize.metrology import measure
from semsize.sem import SEMReadError, read_grey
from semsize.structures import AnnotationError, PredictionError, read_annotations
from semsize.structures.coco_files import prediction_record
from semsize.structures.overlap import overlaps
from tio2.cli import quiet_imports

with quiet_imports():
    import torch
    from mmengine.config import Config

    from tio2.engine import CheckpointError, ConfigError
    from tio2.engine.processes import keep_freed_memory
    from tio2.evaluation import average_precision
    from tio2.inference import Detector

LEAST_SCORE, SAME_IOU = 0.05, 0.98
LEAST_MATCHED, MOST_AP, MOST_D50 = 0.99, 0.002, 0.001
ENGINES = ("torch", "onnx")

Find = Callable[[np.ndarray], Outlines]


@dataclass(frozen=True)
class Agreement:
    """What two engines find in some images, beside one another."""

    found: tuple[int, int]  # detections above the least score
    matched: int  # of them, one to one
    largest_score_difference: float  # of those matched
    d50_px: tuple[float, float]

    @property
    def matched_share(self) -> float:
        """Of the detections of both, 0 to 1; 1 where neither found any."""
        return 2 * self.matched / sum(self.found) if sum(self.found) else 1.0

    @property
    def d50_difference(self) -> float:
        """(onnx - torch) / torch; NaN without particles from the operating score on."""
        return self.d50_px[1] / self.d50_px[0] - 1


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("config", type=Path, help="configs/tio2/….py")
    add("checkpoint", type=Path, help="its weights")
    add("archive", type=Path, help="the same model, from tools/export_onnx.py")
    add("--images", type=Path, required=True, help="an image, or a folder of images; that of the truth")
    add("--truth", type=Path, help="annotation file, for AP; of the images that it names")
    add("--timed", type=int, default=3, metavar="N", help="first images that are timed (default: %(default)s)")
    add("--pairs", type=int, default=5, metavar="N", help="runs of each engine that count (default: %(default)s)")
    add("--threads", type=int, nargs="*", default=[1, 2], metavar="N", help="numbers of threads (default: 1 2)")
    return parser.parse_args()


def engines(arguments: argparse.Namespace, threads: int) -> dict[str, Find]:
    """Both engines, with so many threads."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    config = Config.fromfile(arguments.config)
    config.model.precision = "float32"
    detector = Detector(config, arguments.checkpoint)
    archive = read_archive(arguments.archive)
    engine, looking = OnnxEngine(archive, threads), Looking(archive.card.scales)
    return {"torch": detector, "onnx": lambda grey: Outlines.of_look(look(grey, engine, looking))}


def compare(torch_found: Sequence[Outlines], onnx_found: Sequence[Outlines]) -> Agreement:
    """Match the detections of each image."""
    counts, matched, largest, sizes = np.zeros(2, int), 0, 0.0, ([], [])
    for each in zip(torch_found, onnx_found, strict=True):
        kept = [found.scores > LEAST_SCORE for found in each]
        masks = [found.masks[keep] for found, keep in zip(each, kept, strict=True)]
        scores = [found.scores[keep] for found, keep in zip(each, kept, strict=True)]
        pairs = overlaps(*masks)
        same = pairs.iou >= SAME_IOU
        partner = dict(zip(pairs.first[same].tolist(), pairs.second[same].tolist(), strict=True))
        partner = {second: first for first, second in partner.items()}  # each once on both sides
        counts += [len(mask) for mask in masks]
        matched += len(partner)
        differences = (abs(float(scores[0][first] - scores[1][second])) for second, first in partner.items())
        largest = max(largest, *differences, 0.0)
        for found, ecds in zip(each, sizes, strict=True):
            ecds.append(measure(found.masks[found.scores >= OPERATING_SCORE]).ecd_px)
    every = [np.concatenate(ecds) for ecds in sizes]
    d50 = tuple(float(np.median(ecds)) if len(ecds) else float("nan") for ecds in every)
    return Agreement(tuple(counts.tolist()), matched, largest, d50)


def predictions_of(found: Sequence[Outlines], images: Sequence[Mapping]) -> list[dict]:
    """What was found in images of an annotation file, as predictions at the size that it states."""
    records = []
    for outlines, image in zip(found, images, strict=True):
        masks = outlines.masks.expand((image["height"], image["width"]), 0, 0)
        detections = zip(outlines.boxes.tolist(), outlines.scores.tolist(), masks.to_rles(), strict=True)
        records += [prediction_record(image["id"], image["file_name"], *detection) for detection in detections]
    return records


def seconds(arguments: argparse.Namespace, greys: Sequence[np.ndarray], threads: int) -> dict[str, float]:
    """Median seconds of each engine for all images, the engines by turns."""
    took = {name: [] for name in ENGINES}
    both = engines(arguments, threads)
    for number in range(arguments.pairs + 1):
        for name in ENGINES if number % 2 else ENGINES[::-1]:
            began = time.perf_counter()
            for grey in greys:
                both[name](grey)
            if number:
                took[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in took.items()}


def main() -> None:
    """Find with both, compare, time, print."""
    arguments = parse_arguments()
    errors = (AnnotationError, ArchiveError, CheckpointError, ConfigError, InputError, PredictionError, SEMReadError)
    with one_line_errors(*errors, OSError):
        keep_freed_memory()
        truth = None if arguments.truth is None else read_annotations(arguments.truth)
        if truth is None:
            paths = [file.path for file in find_images([arguments.images], leave_out=arguments.archive)]
        else:
            paths = [arguments.images / image["file_name"] for image in truth["images"]]
        greys, both = [read_grey(path) for path in paths], engines(arguments, 1)
        found = {name: [both[name](grey) for grey in greys] for name in ENGINES}
        agreement = compare(found["torch"], found["onnx"])
        rows = [
            ["detections above 0.05", *agreement.found, f"{100 * agreement.matched_share:.2f} % matched"],
            ["scores of those matched", "", "", f"{agreement.largest_score_difference:.1e} at most"],
            ["D50, px", *(f"{d50:.3f}" for d50 in agreement.d50_px), f"{100 * agreement.d50_difference:+.3f} %"],
        ]
        is_same = agreement.matched_share >= LEAST_MATCHED and not abs(agreement.d50_difference) > MOST_D50
        if truth is not None:
            of_engine = [predictions_of(found[name], truth["images"]) for name in ENGINES]
            precisions = [average_precision(truth, each, "segm").uncapped for each in of_engine]
            for name in ("AP50", "mAP"):
                values = [getattr(precision, name) for precision in precisions]
                rows.append([name, *(f"{value:.4f}" for value in values), f"{values[1] - values[0]:+.4f}"])
                is_same &= abs(values[1] - values[0]) <= MOST_AP
        for threads in arguments.threads if arguments.pairs > 0 else []:
            took = seconds(arguments, greys[: arguments.timed], threads)
            ratio = took["torch"] / took["onnx"]
            name = f"s, {len(greys[: arguments.timed])} images, {threads} threads"
            rows.append([name, *(f"{took[each]:.3f}" for each in ENGINES), f"onnx {ratio:.2f} times as fast"])
        print(f"{arguments.archive}, {len(greys)} images")
        print(markdown_table(["", *ENGINES, "difference"], rows), end="")
    if not is_same:
        sys.exit("error: the engines do not find the same (matched, AP or D50 in the table); export the archive again")


if __name__ == "__main__":
    main()
