"""What a metric keeps of an image: the detections as COCO results, small and picklable, and each image once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from semsize.structures.masks import CroppedMasks
from semsize.structures.predictions import prediction_record


@dataclass(frozen=True)
class ImageRecord:
    """The detections of one image.

    Attributes:
        image_id: the image's id in the annotation file.
        file_name: its name without folders.
        predictions: COCO results (``image_id``, ``category_id``, ``bbox`` xywh in pixels, ``score``, ``segmentation``).
    """

    image_id: int
    file_name: str
    predictions: tuple[dict, ...]


def record_of(data_sample: Mapping) -> ImageRecord:
    """Record of one data sample as a metric's ``process`` receives it.

    Args:
        data_sample: ``img_id``, ``img_path`` and ``pred_instances`` with ``bboxes`` (N, 4) xyxy, ``scores`` (N,) and
            ``masks``: N COCO RLEs (``counts`` as str or bytes), or an (N, H, W) tensor or array, nonzero inside.

    Raises:
        ValueError: the predictions carry no masks.
    """
    instances = data_sample["pred_instances"]
    image_id, file_name = int(data_sample["img_id"]), Path(data_sample["img_path"]).name
    if "masks" not in instances:
        raise ValueError(f"{file_name}: the predictions carry no masks; evaluate an instance segmentation model")
    boxes = _array(instances["bboxes"])  # (N, 4) xyxy
    scores = _array(instances["scores"])  # (N,)
    rles = _rles(instances["masks"])
    predictions = tuple(
        prediction_record(image_id, file_name, box, float(score), rle)
        for box, score, rle in zip(boxes, scores, rles, strict=True)
    )
    return ImageRecord(image_id, file_name, predictions)


def once_per_image(records: Iterable[ImageRecord]) -> list[ImageRecord]:
    """The first record of each image, by id: samplers pad the last round of a distributed run with repeats."""
    first: dict[int, ImageRecord] = {}
    for record in records:
        first.setdefault(record.image_id, record)
    return [first[image_id] for image_id in sorted(first)]


class RecordMetric(BaseMetric):
    """A metric that gathers one `ImageRecord` an image; a subclass computes from them on the first process."""

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:  # noqa: ARG002 (mmengine's signature)
        """Keeps the records of a batch."""
        self.results.extend(record_of(sample) for sample in data_samples)

    def evaluate(self, size: int) -> dict:  # noqa: ARG002 (mmengine's signature)
        """Gathers all records of all processes: mmengine would cut repeats off by position, not by image."""
        return super().evaluate(sys.maxsize)


def _rles(masks: torch.Tensor | np.ndarray | list[dict]) -> list[dict]:
    return masks if isinstance(masks, list) else CroppedMasks.from_full(_array(masks)).to_rles()


def _array(values: torch.Tensor | np.ndarray) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return values.float().numpy() if values.is_floating_point() else values.numpy()
    return np.asarray(values)
