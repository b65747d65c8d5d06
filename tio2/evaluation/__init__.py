"""Metrics: importing this package registers them with mmdet."""

from tio2.evaluation.box_nms import NMSCeiling, nms_ceiling
from tio2.evaluation.coco_ap import AveragePrecision, CappedAveragePrecision, average_precision
from tio2.evaluation.coco_figures import coco_figures, table1_figures
from tio2.evaluation.dense_coco_metric import DenseCocoMetric
from tio2.evaluation.operating_point import table1_selection
from tio2.evaluation.particle_metric import ParticleMetric
from tio2.evaluation.prediction_writer import PredictionWriter

__all__ = [
    "AveragePrecision",
    "CappedAveragePrecision",
    "DenseCocoMetric",
    "NMSCeiling",
    "ParticleMetric",
    "PredictionWriter",
    "average_precision",
    "coco_figures",
    "nms_ceiling",
    "table1_figures",
    "table1_selection",
]
