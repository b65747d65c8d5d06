"""What passes between the rooms: masks, states, annotations, predictions, pixel size."""

from tio2.structures.annotations import (
    CATEGORIES,
    AnnotationError,
    dataset,
    image_record,
    particle_record,
    read_annotations,
    validate,
    write_annotations,
)
from tio2.structures.masks import CroppedMasks
from tio2.structures.pixel_size import PixelSize
from tio2.structures.predictions import PredictionError, prediction_record, read_predictions, write_predictions
from tio2.structures.rle import crop_to_rle, rle_to_crop
from tio2.structures.states import STATES, USEFUL_STATES, assign_states, has_neighbour_within, visibility_class

__all__ = [
    "CATEGORIES",
    "STATES",
    "USEFUL_STATES",
    "AnnotationError",
    "CroppedMasks",
    "PixelSize",
    "PredictionError",
    "assign_states",
    "crop_to_rle",
    "dataset",
    "has_neighbour_within",
    "image_record",
    "particle_record",
    "prediction_record",
    "read_annotations",
    "read_predictions",
    "rle_to_crop",
    "validate",
    "visibility_class",
    "write_annotations",
    "write_predictions",
]
