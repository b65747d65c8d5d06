"""The registered metrics: each gathers the detections of every image and calls one function on the first process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from semsize.metrology.comparison import ImageComparison, compare_split
from semsize.metrology.matching import OPERATING_SCORE
from semsize.metrology.metrics import HEADLINES, particle_metrics
from semsize.structures import prediction_entry, read_annotations, write_predictions
from semsize.structures.masks import CroppedMasks
from semsize.visibility.judging import JudgedOutlines, judge, visibility_metrics
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import Calibration
from semsize.visibility.reported_sizes import ReportedSizes, pooled_sizes, reported_sizes
from semsize.visibility.states import StateThresholds
from tio2.evaluation.average_precision import coco_metrics, table1_metrics


@dataclass(frozen=True)
class ImagePredictions:
    """The detections of an image as COCO results (``bbox`` xywh in pixels, ``segmentation`` an RLE)."""

    image_id: int
    predictions: tuple[dict, ...]

    @classmethod
    def from_data_sample(cls, data_sample: dict) -> ImagePredictions:
        """Read the detections from a data sample that a metric's ``process`` receives.

        Args:
            data_sample: ``img_id``, ``img_path`` and ``pred_instances`` with ``bboxes`` (N, 4) xyxy, ``scores`` (N,)
                and ``masks``: N COCO RLEs (``counts`` as str or bytes), or (N, H, W), nonzero inside.

        Raises:
            ValueError: the predictions carry no masks.
        """
        instances = data_sample["pred_instances"]
        image_id, file_name = int(data_sample["img_id"]), Path(data_sample["img_path"]).name
        if "masks" not in instances:
            raise ValueError(f"{file_name}: the predictions carry no masks; evaluate an instance segmentation model")
        masks = instances["masks"]
        rles = masks if isinstance(masks, list) else CroppedMasks.from_full(_array(masks)).to_rles()
        rows = zip(_array(instances["bboxes"]), _array(instances["scores"]), rles, strict=True)
        return cls(image_id, tuple(prediction_entry(image_id, file_name, *row) for row in rows))


class PredictionMetric(BaseMetric):
    """A metric that gathers the `ImagePredictions` of all images; a subclass computes from them."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002 (mmengine's signature)
        """Keep the predictions of a batch."""
        self.results.extend(map(ImagePredictions.from_data_sample, data_samples))

    def evaluate(self, size: int) -> dict:  # noqa: ARG002 (mmengine's signature)
        """Evaluate all results: by ``size`` mmengine would cut off repeated images by position, not by image."""
        return super().evaluate(sys.maxsize)

    def once_per_image(self, results: list[ImagePredictions]) -> tuple[list[int], list[dict]]:
        """Return the ids of the images and all predictions, ordered by image.

        With several processes the sampler repeats images to fill its last round; an image's first result counts.
        """
        images = {image.image_id: image for image in reversed(results)}
        ids = sorted(images)
        return ids, [prediction for number in ids for prediction in images[number].predictions]


@METRICS.register_module()
class DenseCocoMetric(PredictionMetric):
    """COCO's average precision, with every detection counted and under COCO's cap of 100 detections an image.

    Reports, for masks (``segm_``) and boxes (``bbox_``): ``mAP``, ``AP50``, ``AP75``, ``AP90``; the four with
    ``_cap100``; ``mAP_cap100_ceiling``, which a perfect detector reaches under that cap; the four with ``_table1``, at
    the paper's operating point (score 0.5, box NMS 0.3, 512 instances); and ``images``, the number of images evaluated.
    Average precisions are NaN without truth, else 0.0 without detections. Truth with ``iscrowd`` = 1, and detections on
    it, are not counted.

    Args:
        ann_file: COCO annotation file with the truth, read once.
        gathering: BaseMetric's ``collect_device``, ``collect_dir`` and ``prefix``.
    """

    default_prefix = "coco"

    def __init__(self, ann_file: str, **gathering) -> None:
        super().__init__(**gathering)
        self.ann_file, self.truth = ann_file, read_annotations(ann_file)

    def compute_metrics(self, results: list[ImagePredictions]) -> dict[str, float]:
        """Evaluate the images that were predicted; warn if the annotation file has more."""
        image_ids, found = self.once_per_image(results)
        in_truth = len(self.truth["images"])
        if len(image_ids) < in_truth:
            print_log(
                f"DenseCocoMetric: {len(image_ids)} of the {in_truth} images of {self.ann_file} were predicted; "
                "the metrics leave the others out",
                logger="current",
                level=logging.WARNING,
            )
        metrics = coco_metrics(self.truth, found, image_ids) | table1_metrics(self.truth, found, image_ids)
        return metrics | {"images": len(image_ids)}


@METRICS.register_module()
class ParticleMetric(PredictionMetric):
    """Particles found, false positives, overlap, residuals of the size, error of the size distribution.

    It reports the `HEADLINES` of `semsize.metrology.metrics`, since a log has no room for all metrics. Afterwards
    ``all_metrics`` holds every metric, also by state and configuration, and ``comparisons`` the `ImageComparison` of
    each predicted image, from which the test program writes its report. Truth with ``iscrowd`` = 1, and detections on
    it, are not counted.

    Args:
        ann_file: COCO annotation file with the truth, read once.
        min_score: detections below this score are left out.
        gathering: BaseMetric's ``collect_device``, ``collect_dir`` and ``prefix``.
    """

    default_prefix = "particles"

    def __init__(self, ann_file: str, min_score: float = OPERATING_SCORE, **gathering) -> None:
        super().__init__(**gathering)
        self.truth = read_annotations(ann_file)
        self.min_score = min_score
        self.comparisons: list[ImageComparison] = []
        self.all_metrics: dict[str, float] = {}

    def compute_metrics(self, results: list[ImagePredictions]) -> dict[str, float]:
        """Compare the predicted images with their truth."""
        image_ids, found = self.once_per_image(results)
        predicted = set(image_ids)
        truth = {**self.truth, "images": [image for image in self.truth["images"] if image["id"] in predicted]}
        self.comparisons = compare_split(truth, found, min_score=self.min_score)
        self.all_metrics = particle_metrics(self.comparisons)
        return {name: self.all_metrics[name] for name in HEADLINES}


@METRICS.register_module()
class PredictionWriter(PredictionMetric):
    """Writes one predictions file from the first process, each image once; reports how many images and particles.

    Args:
        outfile: the JSON file to write.
        gathering: BaseMetric's ``collect_device``, ``collect_dir`` and ``prefix``.
    """

    default_prefix = "predictions"

    def __init__(self, outfile: str, **gathering) -> None:
        super().__init__(**gathering)
        self.outfile = outfile

    def compute_metrics(self, results: list[ImagePredictions]) -> dict[str, int]:
        """Write the predictions file."""
        image_ids, predictions = self.once_per_image(results)
        write_predictions(self.outfile, predictions)
        return {"images": len(image_ids), "particles": len(predictions)}


@METRICS.register_module()
class VisibilityMetric(BaseMetric):
    """States, particle probabilities, completed outlines and sizes of a visibility model against the truth.

    Afterwards ``judged`` holds the `JudgedOutlines` of all images, and ``sizes`` the `ReportedSizes` of each kind of
    particles whose truth is known in all images; the test program writes its tables from both. Answers are calibrated
    if the test program has set ``calibration``.
    """

    default_prefix = "visibility"
    calibration: Calibration | None = None
    judged: JudgedOutlines | None = None
    sizes: tuple[ReportedSizes, ...] = ()

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002 (mmengine's signature)
        """Judge the outlines of a batch."""
        for sample in data_samples:
            found = sample["pred_instances"]
            answers = CropAnswers(*(found[field.name].cpu().double().numpy() for field in fields(CropAnswers)))
            outlines, people = sample["gt_instances"]["masks"].cropped, StateThresholds(*sample["thresholds"])
            truth, image = sample["truth"], int(sample["img_id"])
            judged = judge(outlines, answers, truth, sample["grey"], people, self.calibration)
            of_image = sample["particles"], sample["pixel_size_nm"]
            sizes = reported_sizes(outlines, answers, truth, *of_image, people, self.calibration)
            self.results.append((image, (judged, sizes)))

    def compute_metrics(self, results: list[tuple[int, tuple]]) -> dict[str, float]:
        """Compute the metrics over all images, each counted once although the sampler may have repeated it."""
        judged, sizes = zip(*dict(results).values(), strict=True)
        self.judged = JudgedOutlines.cat(judged)
        self.sizes = pooled_sizes(sizes)
        return visibility_metrics(self.judged, self.sizes)


def _array(values: torch.Tensor | np.ndarray) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return values.float().numpy() if values.is_floating_point() else values.numpy()
    return np.asarray(values)
