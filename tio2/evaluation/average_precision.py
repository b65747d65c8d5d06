"""Average precision as COCO defines it, with every detection counted and, beside it, under COCO's cap of 100 an image.

Box non-maximum suppression (NMS) is applied to evaluate at the paper's operating point, and to count the true boxes
that it deletes.

The evaluation is faster-coco-eval's (C++). Its summary is not used: pycocotools' rule takes the mean AP at 100
detections and the others at 1000, and looks for a threshold of 0.9 by equality, which ``linspace`` does not hit.
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
    """The same detections evaluated twice: each of `AVERAGE_PRECISIONS`, 0 to 1.

    Every value is NaN where there is no truth, and 0.0 where there are no detections.
    """

    uncapped: dict[str, float]  # with every detection counted
    capped: dict[str, float]  # with the ``cap`` best-scored detections of each image counted
    # mAP that a perfect detector reaches under that cap; 1.0 where no image has more particles than ``cap``
    ceiling: float


def coco_metrics(
    truth: Mapping, found: Sequence[Mapping], image_ids: Collection[int] | None = None
) -> dict[str, float]:
    """``segm_`` and ``bbox_`` ``mAP``, ``AP50``, ``AP75``, ``AP90``; the same ``_cap100``; ``mAP_cap100_ceiling``.

    Arguments as for `average_precision`; NaN where there is no truth, 0.0 where nothing was found.
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
    """``segm_`` and ``bbox_`` average precision of what the paper's operating point leaves, ``_table1``."""
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
    """Average precision of ``found`` against ``truth``; neither is changed.

    Truth with ``iscrowd`` = 1 (specks, ignore regions) is not searched for, and a detection of which the threshold's
    share lies in it is not counted either, as in COCO.

    Args:
        truth: COCO data set: ``images``, ``annotations``, ``categories``; an annotation's id may be 0.
        found: COCO results: ``image_id``, ``category_id``, ``bbox`` xywh, ``score``; for masks ``segmentation`` (RLE).
        iou_type: overlap of boxes or of masks.
        image_ids: images to evaluate; all of the truth's when None.
        cap: detections of an image that the capped values count.

    Raises:
        ValueError: a detection belongs to none of the images, its score is not finite, or its mask has another size
            than its image.

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
    """COCO's index over copies: the evaluation writes into the dicts; ids from 1, since it takes 0 for "unmatched"."""
    kept = [annotation for annotation in truth["annotations"] if annotation["image_id"] in images]
    annotations = [
        {**annotation, "id": number, "iscrowd": annotation.get("iscrowd", 0)}
        for number, annotation in enumerate(kept, start=1)
    ]
    dataset = {"images": list(images.values()), "annotations": annotations, "categories": list(truth["categories"])}
    return COCO(dataset)


def _precision(truth_api: COCO, found: Sequence[Mapping], iou_type: str, cap: int) -> np.ndarray:
    """Precision at each (IoU threshold, recall, category, detections counted): (10, 101, K, 2), -1 without truth."""
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
    """Means of the (10, 101, K) precision over recalls and categories that have truth."""
    with_truth = precision[:, :, (precision > -1).any(axis=(0, 1))]
    if with_truth.size == 0:
        return dict.fromkeys(AVERAGE_PRECISIONS, math.nan)
    by_threshold = with_truth.mean(axis=(1, 2))  # (10,)
    return {name: float(by_threshold[thresholds].mean()) for name, thresholds in AVERAGE_PRECISIONS.items()}


def _ceiling(annotations: Collection[Mapping], cap: int) -> float:
    """The mAP of a detector that finds the true particles: precision is 1 up to the recall that the cap allows."""
    particles, counted = Counter(), Counter()
    in_images = Counter((truth["category_id"], truth["image_id"]) for truth in annotations if not truth["iscrowd"])
    for (category, _), number in in_images.items():
        particles[category] += number
        counted[category] += min(number, cap)
    reached = [counted[category] / number >= RECALLS for category, number in particles.items()]
    precision = np.array(reached, np.float64).reshape(-1, len(RECALLS)).T  # (101, K)
    return _summary(np.broadcast_to(precision, (len(IOU_THRESHOLDS), *precision.shape)))["mAP"]


def _print_nothing(*_: object) -> None:
    """Keeps the evaluation's progress lines off the console."""


class NMSCeiling(NamedTuple):
    """True particles, and how many of their boxes NMS deletes: a detector with perfect boxes finds the others."""

    particles: int
    deleted: int


def nms_ceiling(truth: Mapping, iou_threshold: float) -> NMSCeiling:
    """Runs the detector's own NMS over the true boxes of each image, all scored alike (the first of a pair stays).

    Args:
        truth: COCO data set, boxes xywh; ``iscrowd`` is left out.
        iou_threshold: boxes that overlap a better one by more are deleted, as in the box head's test settings.
    """
    images = _by_image({**particle, "score": 1.0} for particle in truth["annotations"] if not particle["iscrowd"])
    particles = sum(map(len, images))
    return NMSCeiling(particles, particles - sum(len(_kept(boxes, iou_threshold)) for boxes in images))


def table1_selection(predictions: Sequence[Mapping]) -> list[Mapping]:
    """Predictions at the operating point of the paper's Table 1: score 0.5, box NMS 0.3, the 512 best of each image.

    Where the predictions already passed an NMS at a higher IoU, as the default test settings have it, this is what
    Table 1's NMS leaves of them.
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
    """Indices of the boxes that NMS keeps, the best score first."""
    corners = torch.tensor([box["bbox"] for box in boxes], dtype=torch.float32)  # (N, 4) xywh
    corners[:, 2:] += corners[:, :2]
    scores = torch.tensor([box["score"] for box in boxes], dtype=torch.float32)
    return nms(corners, scores, iou_threshold)[1].tolist()
