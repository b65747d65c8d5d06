"""The registered shell over `semsize.metrology`: the paper's tables for every visibility state and configuration."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.registry import METRICS

from semsize.metrology.comparison import (
    OPERATING_SCORE,
    ImageComparison,
    compare_image,
    found_by_image,
    image_truths,
)
from semsize.metrology.figures_of_merit import HEADLINES, figures_of_merit
from semsize.metrology.matching import MIN_DICE
from semsize.structures.annotations import read_annotations
from tio2.evaluation.records import ImageRecord, RecordMetric, once_per_image


@METRICS.register_module()
class ParticleMetric(RecordMetric):
    """Particles found, false positives, overlap, residuals of the size, error of the size distribution.

    Reports the `HEADLINES` of `semsize.metrology.figures_of_merit`, since a log has no room for them all; the test
    program writes them all, for each state and configuration, from the predictions. Only predicted images count.
    ``iscrowd`` truth counts for and against nobody.

    Args:
        ann_file: COCO annotation file with the truth, read once.
        min_score: found particles below it are left out.
        min_dice: Dice coefficient from which two masks are one particle.
        collect_device: where mmengine gathers the processes' records, ``cpu`` or ``gpu``.
        collect_dir: folder for gathering on ``cpu``; mmengine's ``.dist_test`` when None.
        prefix: put before each key with a slash.
    """

    default_prefix = "particles"

    def __init__(
        self,
        ann_file: str,
        min_score: float = OPERATING_SCORE,
        min_dice: float = MIN_DICE,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir, prefix=prefix)
        self.truths = image_truths(read_annotations(ann_file))
        self.min_score, self.min_dice = min_score, min_dice

    def compute_metrics(self, results: list[ImageRecord]) -> dict[str, float]:
        """Compares the images recorded, each once."""
        figures = figures_of_merit(self._comparisons(once_per_image(results)))
        return {name: figures[name] for name in HEADLINES}

    def _comparisons(self, records: Sequence[ImageRecord]) -> list[ImageComparison]:
        recorded = {record.image_id for record in records}
        truths = [truth for truth in self.truths if truth.image_id in recorded]
        founds = found_by_image([prediction for record in records for prediction in record.predictions], truths)
        return [
            compare_image(truth, found, min_score=self.min_score, min_dice=self.min_dice)
            for truth, found in zip(truths, founds, strict=True)
        ]
