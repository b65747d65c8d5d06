"""The metric of visibility models: judges the outlines of each image by `semsize.visibility.judging`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from semsize.visibility.judging import FullyImaged, JudgedOutlines, fully_imaged, judge, visibility_metrics
from semsize.visibility.model import CropAnswers
from semsize.visibility.states import Thresholds

ANSWERS = ("fractions", "is_particle", "whole", "size_ratios")


@METRICS.register_module()
class VisibilityMetric(BaseMetric):
    """States, being a particle, completed outlines and sizes of the outlines of a data set beside their truth.

    Afterwards ``judged`` holds the `JudgedOutlines` of all images, and ``sizes`` the `FullyImaged` of them (None where
    the state of a particle is not known), from which the test program writes its tables.

    Args:
        collect_device: where mmengine gathers the processes' results, ``cpu`` or ``gpu``.
        collect_dir: folder for gathering on ``cpu``; mmengine's ``.dist_test`` when None.
        prefix: put before each key with a slash.
    """

    default_prefix = "visibility"

    def __init__(self, collect_device: str = "cpu", collect_dir: str | None = None, prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir, prefix=prefix)
        self.judged: JudgedOutlines | None = None
        self.sizes: FullyImaged | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:  # noqa: ARG002 (mmengine's signature)
        """Judges the outlines of a batch."""
        for sample in data_samples:
            found = sample["pred_instances"]
            answers = CropAnswers(*(_array(found[name]) for name in ANSWERS))
            outlines, people = sample["gt_instances"]["masks"].cropped, Thresholds(*sample["thresholds"])
            truth, image = sample["truth"], int(sample["img_id"])
            judged = judge(outlines, answers, truth, sample["grey"], people)
            sizes = fully_imaged(outlines, answers, truth, sample["particles"], image, sample["pixel_size_nm"], people)
            self.results.append((image, (judged, sizes)))

    def compute_metrics(self, results: list[tuple[int, tuple]]) -> dict[str, float]:
        """The figures over all images, each once: the last process may have repeated some to fill its batch."""
        judged, sizes = zip(*dict(results).values(), strict=True)
        self.judged = JudgedOutlines.cat(judged)
        self.sizes = None if None in sizes else FullyImaged.cat(sizes)
        return visibility_metrics(self.judged, self.sizes)


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
