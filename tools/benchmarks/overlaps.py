"""What disjoint masks, and masks predicted on enlarged boxes, change on annotated images (docs/notebook/dense.md).

python tools/benchmarks/overlaps.py configs/tio2/light_nc.py checkpoints/light_nc.pth \
    --ann data/bam-tio2-sem/annotations/train.json
python tools/compare.py work_dirs/overlaps/* --split train --baseline work_dirs/overlaps/as_it_is

Each image passes the backbone once. A folder a setting, <out>/<setting>/<split>, holds what a test leaves. The table
tells how many masks (from score 0.5 on) are cut straight: more than a quarter of a side of the region that the mask is
drawn in lies along it; that of the true masks in their own boxes beside it, since round things are flat there too.
"""

import argparse
import copy
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np

from semsize.cli import one_line_errors
from semsize.structures.masks import CroppedMasks
from tio2.cli import quiet_imports

SETTINGS = {
    "as_it_is": {},
    "disjoint": {"resolve_overlaps": True},
    "box_105": {"mask_box_scale": 1.05},
    "box_110": {"mask_box_scale": 1.10},
    "box_115": {"mask_box_scale": 1.15},
    "disjoint_box_110": {"resolve_overlaps": True, "mask_box_scale": 1.10},
}
SHARE_OF_SIDE = 0.25


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    parser.add_argument("--ann", type=Path, required=True, help="annotation file, <data>/annotations/<split>.json")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/overlaps"), help="default: %(default)s")
    return parser.parse_args()


def cut_straight(masks: CroppedMasks, boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: some side of its box (N, 4 xyxy) has mask along more than a quarter of it, less than a pixel away."""
    cut = np.zeros(len(masks), bool)
    for number, ((crop, (row, column)), box) in enumerate(zip(masks, boxes, strict=True)):
        if crop.size == 0:
            continue
        width, height = box[2] - box[0], box[3] - box[1]
        sides = (
            (column - box[0], crop[:, 0].sum() / height),
            (row - box[1], crop[0].sum() / width),
            (box[2] - column - crop.shape[1], crop[:, -1].sum() / height),
            (box[3] - row - crop.shape[0], crop[-1].sum() / width),
        )
        cut[number] = any(gap < 1 and share > SHARE_OF_SIDE for gap, share in sides)
    return cut


def overlapping_share(masks: CroppedMasks) -> float:
    """Share of the pixels of all masks together that more than one claims."""
    count = np.zeros(masks.image_shape, np.int32)
    for crop, (row, column) in masks:
        count[row : row + crop.shape[0], column : column + crop.shape[1]] += crop > 0
    return float((count > 1).sum() / max((count > 0).sum(), 1))


def memoize(owner: object, name: str, key: Callable[[], Hashable], results: dict) -> None:
    """Let a method be computed once for each key; callers get copies."""
    method = getattr(owner, name)

    def once(*arguments: object, **named: object) -> object:
        if (name, key()) not in results:
            results[name, key()] = method(*arguments, **named)
        return copy.deepcopy(results[name, key()])

    setattr(owner, name, once)


def main() -> None:
    """Predict each image with every setting, count, write."""
    arguments = parse_arguments()
    with quiet_imports():
        from tqdm import tqdm

        from semsize.measuring.tables import markdown_table
        from semsize.metrology.comparison import compare_image, found_by_image, image_truths
        from semsize.metrology.matching import OPERATING_SCORE
        from semsize.sem import read_grey
        from semsize.structures import prediction_record, read_annotations
        from semsize.structures.files import write_json
        from tio2.engine import CheckpointError, ConfigError
        from tio2.inference import read_detector
        from tio2.reporting.report import write_csvs
    with one_line_errors(CheckpointError, ConfigError, ValueError):
        detector = read_detector(arguments.config, arguments.checkpoint)
        truth = read_annotations(arguments.ann)
    images, split = arguments.ann.parents[1] / "images" / arguments.ann.stem, arguments.ann.stem
    model, computed = detector.model, {}
    test_cfg = model.roi_head.test_cfg
    for owner, name in ((model, "extract_feat"), (model.rpn_head, "predict"), (model.roi_head, "predict_bbox")):
        memoize(owner, name, lambda: None, computed)
    memoize(model.roi_head, "_mask_forward", lambda: test_cfg.mask_box_scale, computed)
    found, shared, cut = ({name: [] for name in SETTINGS} for _ in range(3))
    flat = []
    for image in tqdm(truth["images"], unit="image"):
        grey = read_grey(images / image["file_name"])
        computed.clear()
        for name, settings in SETTINGS.items():
            every_roi = {"mask_rois_per_batch": test_cfg.max_per_img}
            test_cfg.update({"resolve_overlaps": False, "mask_box_scale": 1.0} | every_roi | settings)
            (each,) = detector([grey])
            rows = zip(each.boxes, each.scores, each.masks.to_rles(), strict=True)
            found[name] += [prediction_record(image["id"], image["file_name"], *row) for row in rows]
            likely = each.scores >= OPERATING_SCORE
            margins = (each.boxes[:, 2:] - each.boxes[:, :2]) * (test_cfg.mask_box_scale - 1) / 2
            drawn = each.boxes + np.concatenate([-margins, margins], axis=1)
            shared[name].append(overlapping_share(each.masks[likely]))
            cut[name] += cut_straight(each.masks[likely], drawn[likely]).tolist()
        particles = [a["segmentation"] for a in truth["annotations"] if a["image_id"] == image["id"]]
        true_masks = CroppedMasks.from_rles(particles, grey.shape)
        flat += cut_straight(true_masks, true_masks.boxes).tolist()
    truths = image_truths(truth)
    for name, predictions in found.items():
        founds = found_by_image(predictions, truths)
        compared = [compare_image(one, of_it) for one, of_it in zip(truths, founds, strict=True)]
        write_csvs(arguments.out / name / split, truths, founds, compared)
        write_json(arguments.out / name / split / "metrics.json", {"config": name, "split": split, "metrics": {}})
    rows = [[name, len(cut[name]), 100 * np.mean(cut[name]), 100 * np.mean(shared[name])] for name in SETTINGS]
    rows.append(["truth", len(flat), 100 * np.mean(flat), None])
    print(markdown_table(["setting", "masks", "cut straight, %", "pixels claimed twice, %"], rows, decimals=2))


if __name__ == "__main__":
    main()
