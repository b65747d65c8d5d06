"""The registered shell over `coco_ap`: box and mask average precision of images with any number of particles."""

from __future__ import annotations

import logging

from mmdet.registry import METRICS
from mmengine.logging import print_log

from semsize.structures.annotations import read_annotations
from tio2.evaluation.coco_figures import coco_figures, table1_figures
from tio2.evaluation.records import ImageRecord, RecordMetric, once_per_image


@METRICS.register_module()
class DenseCocoMetric(RecordMetric):
    """COCO's average precision with every detection counted, and beside it under COCO's cap of 100 an image.

    Reports, for masks (``segm_``) and boxes (``bbox_``): ``mAP``, ``AP50``, ``AP75``, ``AP90``; the same with
    ``_cap100``; ``mAP_cap100_ceiling``, what a perfect detector reaches under that cap; the same with ``_table1``, of
    what the paper's operating point leaves (score 0.5, box NMS 0.3, 512 instances); and ``images``, the number of
    images evaluated. NaN where there is no truth, 0.0 where nothing was found; ``iscrowd`` truth counts for and against
    nobody.

    Args:
        ann_file: COCO annotation file with the truth, read once.
        collect_device: where mmengine gathers the processes' records, ``cpu`` or ``gpu``.
        collect_dir: folder for gathering on ``cpu``; mmengine's ``.dist_test`` when None.
        prefix: put before each key with a slash.
    """

    default_prefix = "coco"

    def __init__(
        self,
        ann_file: str,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir, prefix=prefix)
        self.ann_file = ann_file
        self.truth = read_annotations(ann_file)

    def compute_metrics(self, results: list[ImageRecord]) -> dict[str, float]:
        """Evaluates the images recorded, each once; says so where the annotation file has more."""
        records = once_per_image(results)
        in_truth = len(self.truth["images"])
        if len(records) < in_truth:
            print_log(
                f"DenseCocoMetric: {len(records)} of the {in_truth} images of {self.ann_file} were predicted; "
                "the figures are of these",
                logger="current",
                level=logging.WARNING,
            )
        image_ids = [record.image_id for record in records]
        found = [prediction for record in records for prediction in record.predictions]
        metrics = coco_figures(self.truth, found, image_ids) | table1_figures(self.truth, found, image_ids)
        metrics["images"] = len(records)
        return metrics
