"""What passes between the rooms: masks, states, annotations, predictions, pixel size."""

from semsize.structures.annotations import (
    CATEGORIES,
    AnnotationError,
    dataset,
    image_record,
    particle_record,
    read_annotations,
    validate,
    write_annotations,
)
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.structures.predictions import PredictionError, prediction_record, read_predictions, write_predictions
from semsize.structures.states import STATES, USEFUL_STATES, assign_states, has_neighbour_within, visibility_class

__all__ = [
    "CATEGORIES",
    "STATES",
    "USEFUL_STATES",
    "AnnotationError",
    "CroppedMasks",
    "PixelSize",
    "PredictionError",
    "assign_states",
    "dataset",
    "has_neighbour_within",
    "image_record",
    "particle_record",
    "prediction_record",
    "read_annotations",
    "read_predictions",
    "validate",
    "visibility_class",
    "write_annotations",
    "write_predictions",
]
