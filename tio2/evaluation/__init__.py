"""Metrics: importing this package registers them with mmdet."""

from tio2.evaluation.average_precision import (
    average_precision,
    coco_metrics,
    nms_ceiling,
    table1_metrics,
    table1_selection,
)
from tio2.evaluation.metrics import DenseCocoMetric, ParticleMetric, PredictionWriter, VisibilityMetric
