"""The data that rooms exchange: masks, states, annotations, predictions and pixel sizes."""

from semsize.structures.annotations import (
    CATEGORIES,
    CONFIGURATIONS,
    SPECK_PX,
    SPLITS,
    AnnotationError,
    check_annotations,
    dataset,
    image_entry,
    particle_entry,
)
from semsize.structures.coco_files import by_image, crowd_flag, read_annotations, write_annotations
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.structures.predictions import (
    PredictionError,
    prediction_entry,
    predictions_by_image,
    read_predictions,
    write_predictions,
)
from semsize.structures.states import STATES, USEFUL_STATES, assign_states, has_neighbour_within, visibility_class
