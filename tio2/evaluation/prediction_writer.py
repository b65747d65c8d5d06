"""Writes what a model found to `predictions.json`, from any number of processes."""

from __future__ import annotations

from mmdet.registry import METRICS

from semsize.structures.predictions import write_predictions
from tio2.evaluation.records import ImageRecord, RecordMetric, once_per_image


@METRICS.register_module()
class PredictionWriter(RecordMetric):
    """Writes one predictions file from the first process, each image once; reports how many images and particles.

    Args:
        outfile: the JSON file to write.
        collect_device: where mmengine gathers the processes' records, ``cpu`` or ``gpu``.
        collect_dir: folder for gathering on ``cpu``; mmengine's ``.dist_test`` when None.
        prefix: put before each key with a slash.
    """

    default_prefix = "predictions"

    def __init__(
        self,
        outfile: str,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir, prefix=prefix)
        self.outfile = outfile

    def compute_metrics(self, results: list[ImageRecord]) -> dict[str, int]:
        """Writes the file; mmengine calls this on the first process only."""
        records = once_per_image(results)
        predictions = [prediction for record in records for prediction in record.predictions]
        write_predictions(self.outfile, predictions)
        return {"images": len(records), "particles": len(predictions)}
