"""Compare the detections of model archives with torch's, and the speed of the engines.

python tools/benchmarks/engines.py configs/tio2/light_free.py checkpoints/light_free.pth light_free.semsize \
    --truth data/bam-tio2-sem/annotations/val.json --images data/bam-tio2-sem/images/val \
    --truth data/rendered-validation/annotations/test.json --images data/rendered-validation/images/test \
    --truth data/emps/annotations/val.json --images data/emps/images/val
python tools/benchmarks/engines.py CONFIG CHECKPOINT ARCHIVE INT8_ARCHIVE --images scans --timed 1 --pairs 3 --threads 1

Torch computes in float32; bfloat16 is timed too if the processor has it. Detections with a score above 0.05 match if
their masks' IoU is 0.98 or more; D50 is the median equivalent circular diameter from score 0.5. Seconds are medians
over runs on the first set's first images, from the file to the particles' measurands; the engines take turns, and a
first run does not count. Seconds of the processor are those of all threads.
Exit code 1 if in any set, for a float32 archive, fewer than 99 % match, AP differs by more than 0.002, or D50 by more
than 0.1 %; for an int8 archive, if mAP is lower by more than 0.003, or D50 differs by more than 0.5 %.
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
from semsize.detecting.archive import ArchiveError, Precision, read_archive
from semsize.detecting.looking import look
from semsize.detecting.onnx import OnnxEngine
from semsize.measuring.inputs import OPERATING_SCORE, InputError, find_images
from semsize.measuring.outlines import Outlines
from semsize.measuring.tables import markdown_table
from semsize.metrology import measure
from semsize.sem import SEMReadError, read_grey
from semsize.structures import AnnotationError, PredictionError, prediction_entry, read_annotations
from semsize.structures.overlap import overlaps
from tio2.cli import required_imports

with required_imports():
    import torch
    from mmengine.config import Config

    from tio2.engine import CheckpointError, ConfigError
    from tio2.engine.processes import keep_freed_memory
    from tio2.evaluation import average_precision
    from tio2.inference import Detector
    from tio2.models.detector import bfloat16_is_fast

LEAST_SCORE, SAME_IOU = 0.05, 0.98

Find = Callable[[np.ndarray], Outlines]


@dataclass(frozen=True)
class Agreement:
    """The detections of torch and another engine in some images, compared; pairs are (torch, other)."""

    found: tuple[int, int]  # detections above the least score
    matched: int  # pairs of equal detections
    largest_score_difference: float  # over matched pairs
    d50_px: tuple[float, float]
    ap50: tuple[float, float] | None = None  # None without a truth
    mean_ap: tuple[float, float] | None = None

    @property
    def matched_share(self) -> float:
        """Matched share of the detections of both, 0 to 1; 1 if neither found any."""
        return 2 * self.matched / sum(self.found) if sum(self.found) else 1.0

    @property
    def d50_difference(self) -> float:
        """(other - torch) / torch; NaN without particles of the operating score or more."""
        return self.d50_px[1] / self.d50_px[0] - 1

    def beyond(self, precision: Precision) -> list[str]:
        """Names of the limits of a precision that are exceeded."""
        ap50, mean = (0.0 if pair is None else pair[1] - pair[0] for pair in (self.ap50, self.mean_ap))
        if precision == "float32":
            limits = {
                "matched": self.matched_share < 0.99,
                "AP": max(abs(ap50), abs(mean)) > 0.002,
                "D50": abs(self.d50_difference) > 0.001,
            }
        else:
            limits = {"mAP": mean < -0.003, "D50": abs(self.d50_difference) > 0.005}
        return [name for name, is_beyond in limits.items() if is_beyond]


@dataclass(frozen=True)
class ImageSet:
    """Images, and their annotation file if there is one."""

    name: str
    paths: list[Path]
    truth: dict | None


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("config", type=Path, help="configs/tio2/….py")
    add("checkpoint", type=Path, help="weights of the config")
    add("archives", type=Path, nargs="+", metavar="archive", help="the same model, from tools/export_onnx.py")
    images = "an image or a folder of images; with --truth, the folder of its images; repeat it for several sets"
    add("--images", type=Path, action="append", required=True, help=images)
    add("--truth", type=Path, action="append", default=[], help="annotation file, for AP; once for each --images")
    add("--most", type=int, metavar="N", help="use the first N images of each set (default: all)")
    add("--timed", type=int, default=3, metavar="N", help="time the first N images (default: %(default)s)")
    add("--pairs", type=int, default=5, metavar="N", help="runs of each engine that count (default: %(default)s)")
    add("--threads", type=int, nargs="*", default=[1, 2], metavar="N", help="numbers of threads (default: 1 2)")
    arguments = parser.parse_args()
    if arguments.truth and len(arguments.truth) != len(arguments.images):
        parser.error("give --truth once for each --images, or not at all")
    return arguments


def image_sets(arguments: argparse.Namespace) -> list[ImageSet]:
    """The sets of the command line, each with at most `--most` images."""
    sets = []
    for folder, file in zip(arguments.images, arguments.truth or [None] * len(arguments.images), strict=True):
        if file is None:
            paths, truth = [found.path for found in find_images([folder], leave_out=arguments.archives[0])], None
        else:
            truth = read_annotations(file)
            truth["images"] = truth["images"][: arguments.most]
            known = {image["id"] for image in truth["images"]}
            truth["annotations"] = [each for each in truth["annotations"] if each["image_id"] in known]
            paths = [folder / image["file_name"] for image in truth["images"]]
        sets.append(ImageSet(str(file or folder), paths[: arguments.most], truth))
    return sets


def engines(arguments: argparse.Namespace, threads: int) -> dict[str, Find]:
    """Torch, and each archive under the name of its precision, with this number of threads."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    finds = {"torch": _torch(arguments, "float32")}
    for path in arguments.archives:
        archive = read_archive(path)
        finds[archive.card.precision] = _find(OnnxEngine(archive, threads))
    if len(finds) <= len(arguments.archives):
        raise ArchiveError("two archives have the same precision; give one of each")
    return finds


def _torch(arguments: argparse.Namespace, precision: str) -> Find:
    config = Config.fromfile(arguments.config)
    config.model.precision = precision
    return Detector(config, arguments.checkpoint)


def _find(engine: OnnxEngine) -> Find:
    return lambda grey: Outlines.of_look(look(grey, engine, engine.looking))


def compare(torch_found: Sequence[Outlines], other_found: Sequence[Outlines], truth: dict | None = None) -> Agreement:
    """Match the detections of each image; with a truth, compare their average precision too."""
    counts, matched, largest, sizes = np.zeros(2, int), 0, 0.0, ([], [])
    for each in zip(torch_found, other_found, strict=True):
        kept = [found.scores > LEAST_SCORE for found in each]
        masks = [found.masks[keep] for found, keep in zip(each, kept, strict=True)]
        scores = [found.scores[keep] for found, keep in zip(each, kept, strict=True)]
        pairs = overlaps(*masks)
        same = pairs.iou >= SAME_IOU
        partner = dict(zip(pairs.first[same].tolist(), pairs.second[same].tolist(), strict=True))
        partner = {second: first for first, second in partner.items()}  # each detection once on both sides
        counts += [len(mask) for mask in masks]
        matched += len(partner)
        differences = (abs(float(scores[0][first] - scores[1][second])) for second, first in partner.items())
        largest = max(largest, *differences, 0.0)
        for found, ecds in zip(each, sizes, strict=True):
            ecds.append(measure(found.masks[found.scores >= OPERATING_SCORE]).ecd_px)
    every = [np.concatenate(ecds) for ecds in sizes]
    d50 = tuple(float(np.median(ecds)) if len(ecds) else float("nan") for ecds in every)
    precisions = []
    if truth is not None:
        of_engine = [predictions_of(found, truth["images"]) for found in (torch_found, other_found)]
        values = [average_precision(truth, each, "segm").uncapped for each in of_engine]
        precisions = [tuple(value[name] for value in values) for name in ("AP50", "mAP")]
    return Agreement(tuple(counts.tolist()), matched, largest, d50, *precisions)


def predictions_of(found: Sequence[Outlines], images: Sequence[Mapping]) -> list[dict]:
    """Detections in images of an annotation file, as COCO predictions at the size that it states."""
    records = []
    for outlines, image in zip(found, images, strict=True):
        masks = outlines.masks.expand((image["height"], image["width"]), 0, 0)
        detections = zip(outlines.boxes.tolist(), outlines.scores.tolist(), masks.to_rles(), strict=True)
        records += [prediction_entry(image["id"], image["file_name"], *detection) for detection in detections]
    return records


def agreement_rows(agreement: Agreement) -> list[list[str]]:
    """Rows of a table: quantity, torch's value, the other's, the difference."""
    rows = [
        ["detections above 0.05", *map(str, agreement.found), f"{100 * agreement.matched_share:.2f} % matched"],
        ["scores of matched detections", "", "", f"{agreement.largest_score_difference:.1e} at most"],
        ["D50, px", *(f"{d50:.3f}" for d50 in agreement.d50_px), f"{100 * agreement.d50_difference:+.3f} %"],
    ]
    for name, pair in (("AP50", agreement.ap50), ("mAP", agreement.mean_ap)):
        if pair is not None:
            rows.append([name, *(f"{value:.4f}" for value in pair), f"{pair[1] - pair[0]:+.4f}"])
    return rows


def timing_rows(arguments: argparse.Namespace, paths: Sequence[Path], threads: int) -> list[list[str]]:
    """Median seconds of each engine for all images, by the clock and of the processor; the engines take turns."""
    finds = engines(arguments, threads)
    if bfloat16_is_fast(torch.device("cpu")):
        finds["torch, bfloat16"] = _torch(arguments, "bfloat16")
    took = {name: [] for name in finds}
    for number in range(arguments.pairs + 1):
        for name in list(finds)[:: 1 if number % 2 else -1]:
            began = time.perf_counter(), time.process_time()
            for path in paths:
                measure(finds[name](read_grey(path)).masks)
            if number:
                took[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in took.items()}
    rows = []
    for name, (clock, processor) in medians.items():
        ratio = medians["torch"][1] / processor
        label = f"{len(paths)} images, {threads} threads: {name}"
        rows.append([label, f"{clock:.3f}", f"{processor:.3f}", f"{ratio:.2f}"])
    return rows


def main() -> None:
    """Run all engines, compare and time them, and print the tables."""
    arguments = parse_arguments()
    errors = (AnnotationError, ArchiveError, CheckpointError, ConfigError, InputError, PredictionError, SEMReadError)
    with one_line_errors(*errors, OSError):
        keep_freed_memory()
        sets, finds, beyond = image_sets(arguments), engines(arguments, 1), []
        for images in sets:
            greys = [read_grey(path) for path in images.paths]
            found = {name: [find(grey) for grey in greys] for name, find in finds.items()}
            for name in list(finds)[1:]:
                agreement = compare(found["torch"], found[name], images.truth)
                print(f"\n{images.name}, {len(greys)} images")
                print(markdown_table(["", "torch", f"onnx, {name}", "difference"], agreement_rows(agreement)), end="")
                beyond += [f"{what} of {name} on {images.name}" for what in agreement.beyond(name)]
        timed = sets[0].paths[: arguments.timed]
        rows = [row for n in arguments.threads if arguments.pairs > 0 for row in timing_rows(arguments, timed, n)]
        if rows:
            header = ["median of runs", "s by the clock", "s of the processor", "times as fast as torch"]
            print("\n" + markdown_table(header, rows), end="")
    if beyond:
        sys.exit(f"error: the engines do not find the same ({'; '.join(beyond)}); export the archive again")


if __name__ == "__main__":
    main()
