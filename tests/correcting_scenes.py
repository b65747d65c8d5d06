"""Outlines of an image under correction, shared by the tests."""

import numpy as np

from semsize.correcting import Corrections
from semsize.structures.masks import CroppedMasks

SHAPE = (30, 40)
LABELS = np.zeros(SHAPE, int)
LABELS[2:10, 2:12], LABELS[2:10, 12:20], LABELS[15:25, 20:35] = 1, 2, 3


def corrections():
    return Corrections.from_masks(CroppedMasks.from_label_image(LABELS), ["isolated", None, "masked"])
