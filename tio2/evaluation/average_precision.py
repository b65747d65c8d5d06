"""COCO's average precision, with every detection counted and under COCO's cap of 100 detections an image.

Box non-maximum suppression (NMS) is applied to evaluate at the paper's operating point, and to count the true boxes
that it deletes.

The evaluation is faster-coco-eval's (C++). Its summary is not used: like pycocotools' it takes mAP at 100 detections
and the other values at 1000, and looks for a threshold of 0.9 by equality, which ``linspace`` does not hit.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from mmcv.ops import nms

from semsize.metrology.matching import AVERAGE_PRECISIONS, IOU_THRESHOLDS, OPERATING_SCORE, RECALLS

COCO_CAP = 100
"""Detections of an image that COCO's own evaluation counts, the best scores first."""

IOU_TYPES = ("segm", "bbox")
TABLE1_BOX_NMS_IOU = 0.3
TABLE1_INSTANCES = 512


@dataclass(frozen=True)
class CappedAveragePrecision:
    """Each of `AVERAGE_PRECISIONS`, 0 to 1, of the same detections without and with a cap.

    Every value is NaN without truth; without detections those of ``uncapped`` and ``capped`` are 0.0.
    """

    uncapped: dict[str, float]  # with every detection counted
    capped: dict[str, float]  # with the ``cap`` best-scored detections of each image counted
    # mAP that a perfect detector reaches under that cap; 1.0 if no image has more particles than ``cap``
    ceiling: float


def coco_metrics(
    truth: Mapping, found: Sequence[Mapping], image_ids: Collection[int] | None = None
) -> dict[str, float]:
    """Return average precisions of masks and boxes, under names such as ``segm_AP50`` and ``bbox_mAP_cap100``.

    Arguments are `average_precision`'s, values `CappedAveragePrecision`'s; `DenseCocoMetric` lists the names.
    """
    metrics: dict[str, float] = {}
    for iou_type in IOU_TYPES:
        precision = average_precision(truth, found, iou_type, image_ids=image_ids)
        metrics |= {f"{iou_type}_{name}": value for name, value in precision.uncapped.items()}
        metrics |= {f"{iou_type}_{name}_cap{COCO_CAP}": value for name, value in precision.capped.items()}
        metrics[f"{iou_type}_mAP_cap{COCO_CAP}_ceiling"] = precision.ceiling
    return metrics


def table1_metrics(
    truth: Mapping, found: Sequence[Mapping], image_ids: Collection[int] | None = None
) -> dict[str, float]:
    """Return the ``segm_`` and ``bbox_`` average precisions at the paper's operating point, named ``_table1``."""
    selected = table1_selection(found)
    metrics: dict[str, float] = {}
    for iou_type in IOU_TYPES:
        precision = average_precision(truth, selected, iou_type, image_ids=image_ids).uncapped
        metrics |= {f"{iou_type}_{name}_table1": value for name, value in precision.items()}
    return metrics


def average_precision(
    truth: Mapping,
    found: Sequence[Mapping],
    iou_type: Literal["bbox", "segm"],
    *,
    image_ids: Collection[int] | None = None,
    cap: int = COCO_CAP,
) -> CappedAveragePrecision:
    """Evaluate ``found`` against ``truth``; neither is changed.

    As in COCO, truth with ``iscrowd`` = 1 (specks, ignore regions) need not be found, and an unmatched detection is
    not counted if the share of it that lies in such a region reaches the IoU threshold.

    Args:
        truth: COCO data set: ``images``, ``annotations``, ``categories``; an annotation's id may be 0.
        found: COCO results: ``image_id``, ``category_id``, ``bbox`` xywh, ``score``; for masks ``segmentation`` (RLE).
        iou_type: compare boxes or masks.
        image_ids: images to evaluate; None evaluates all images of the truth.
        cap: number of detections of an image that the capped values count.

    Raises:
        ValueError: an image is not in the truth, a detection belongs to none of the images, its score is not finite, or
            its mask has another size than its image.

    Source: Lin et al., Microsoft COCO (2014), and cocoeval.py of its API for the rule.
    """
    images = _chosen_images(truth, image_ids)
    _check_found(images, found, iou_type)
    truth_api = _truth_api(truth, images)
    precision = _precision(truth_api, found, iou_type, cap)
    return CappedAveragePrecision(
        uncapped=_summary(precision[..., 1]),
        capped=_summary(precision[..., 0]),
        ceiling=_ceiling(truth_api.anns.values(), cap),
    )


def _chosen_images(truth: Mapping, image_ids: Collection[int] | None) -> dict[int, Mapping]:
    images = {image["id"]: image for image in truth["images"]}
    if image_ids is None:
        return images
    unknown = sorted(set(image_ids) - set(images))
    if unknown:
        raise ValueError(f"image ids {unknown[:5]} are not in the truth; evaluate against the images' own file")
    return {image_id: images[image_id] for image_id in sorted(image_ids)}


def _check_found(images: Mapping[int, Mapping], found: Sequence[Mapping], iou_type: str) -> None:
    for detection in found:
        image = images.get(detection["image_id"])
        if image is None:
            raise ValueError(f"a detection names image {detection['image_id']}, which is not among those evaluated")
        if not math.isfinite(detection["score"]):
            raise ValueError(f"image {image['id']}: a detection scores {detection['score']}; check the model's outputs")
        if iou_type == "segm":
            size = (image["height"], image["width"])
            if tuple(detection["segmentation"]["size"]) != size:
                raise ValueError(
                    f"image {image['id']} is {size} (rows, columns) in the truth, a mask found in it "
                    f"{tuple(detection['segmentation']['size'])}; predict on the images that the truth describes"
                )


def _truth_api(truth: Mapping, images: Mapping[int, Mapping]) -> COCO:
    """Index copies, because the evaluation writes into the dicts; ids from 1, because it takes 0 for "unmatched"."""
    kept = [annotation for annotation in truth["annotations"] if annotation["image_id"] in images]
    annotations = [
        {**annotation, "id": number, "iscrowd": annotation.get("iscrowd", 0)}
        for number, annotation in enumerate(kept, start=1)
    ]
    dataset = {"images": list(images.values()), "annotations": annotations, "categories": list(truth["categories"])}
    return COCO(dataset)


def _precision(truth_api: COCO, found: Sequence[Mapping], iou_type: str, cap: int) -> np.ndarray:
    """Return precision (10 IoU thresholds, 101 recalls, K categories, capped and uncapped); -1 without truth."""
    found_api = truth_api.loadRes([dict(detection) for detection in found])
    evaluation = COCOeval_faster(truth_api, found_api, iou_type, print_function=_print_nothing)
    most_in_an_image = max(Counter(detection["image_id"] for detection in found).values(), default=0)
    evaluation.params.maxDets = [cap, max(cap + 1, most_in_an_image)]
    evaluation.params.areaRng = [[0, 1e10]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, :]


def _summary(precision: np.ndarray) -> dict[str, float]:
    """Return the means of precision (10, 101, K) over recalls and the categories that have truth, by name."""
    with_truth = precision[:, :, (precision > -1).any(axis=(0, 1))]
    if with_truth.size == 0:
        return dict.fromkeys(AVERAGE_PRECISIONS, math.nan)
    by_threshold = with_truth.mean(axis=(1, 2))  # (10,)
    return {name: float(by_threshold[thresholds].mean()) for name, thresholds in AVERAGE_PRECISIONS.items()}


def _ceiling(annotations: Collection[Mapping], cap: int) -> float:
    """Return the mAP of a perfect detector: its precision is 1 up to the recall that the cap allows."""
    particles, counted = Counter(), Counter()
    in_images = Counter((truth["category_id"], truth["image_id"]) for truth in annotations if not truth["iscrowd"])
    for (category, _), number in in_images.items():
        particles[category] += number
        counted[category] += min(number, cap)
    reached = [counted[category] / number >= RECALLS for category, number in particles.items()]
    precision = np.array(reached, np.float64).reshape(-1, len(RECALLS)).T  # (101, K)
    return _summary(np.broadcast_to(precision, (len(IOU_THRESHOLDS), *precision.shape)))["mAP"]


def _print_nothing(*_: object) -> None:
    """Drop the progress lines of the evaluation."""


class NMSCeiling(NamedTuple):
    """Numbers of true particles and of their boxes that NMS deletes, which even a perfect detector cannot find."""

    particles: int
    deleted: int


def nms_ceiling(truth: Mapping, iou_threshold: float) -> NMSCeiling:
    """Count the true boxes that the detector's NMS deletes if all have one score (the first of a pair stays).

    Args:
        truth: COCO data set, boxes xywh; annotations with ``iscrowd`` are left out.
        iou_threshold: boxes with a larger IoU with a kept box are deleted, as in the box head's test settings.
    """
    images = _by_image({**particle, "score": 1.0} for particle in truth["annotations"] if not particle["iscrowd"])
    particles = sum(map(len, images))
    return NMSCeiling(particles, particles - sum(len(_kept(boxes, iou_threshold)) for boxes in images))


def table1_selection(predictions: Sequence[Mapping]) -> list[Mapping]:
    """Select predictions as in the paper's Table 1: score 0.5, box NMS 0.3, the 512 best of each image.

    The predictions have usually passed the NMS of the test settings, at a higher IoU, before Table 1's NMS.
    """
    images = _by_image(prediction for prediction in predictions if prediction["score"] >= OPERATING_SCORE)
    return [
        predictions_of_image[index]
        for predictions_of_image in images
        for index in _kept(predictions_of_image, TABLE1_BOX_NMS_IOU)[:TABLE1_INSTANCES]
    ]


def _by_image(boxes: Iterable[Mapping]) -> list[list[Mapping]]:
    by_image = defaultdict(list)
    for box in boxes:
        by_image[box["image_id"]].append(box)
    return list(by_image.values())


def _kept(boxes: Sequence[Mapping], iou_threshold: float) -> list[int]:
    """Return the indices of the boxes that NMS keeps, best score first."""
    corners = torch.tensor([box["bbox"] for box in boxes], dtype=torch.float32)  # (N, 4) xywh
    corners[:, 2:] += corners[:, :2]
    scores = torch.tensor([box["score"] for box in boxes], dtype=torch.float32)
    return nms(corners, scores, iou_threshold)[1].tolist()
