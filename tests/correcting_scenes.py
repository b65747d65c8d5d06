"""Outlines of an image under correction and a model that fills boxes, shared by the tests."""

import threading

import numpy as np

from semsize.correcting import Corrections
from semsize.correcting.shapes import ellipse_mask
from semsize.structures.masks import CroppedMasks

SHAPE = (30, 40)
LABELS = np.zeros(SHAPE, int)
LABELS[2:10, 2:12], LABELS[2:10, 12:20], LABELS[15:25, 20:35] = 1, 2, 3


def corrections():
    return Corrections.from_masks(CroppedMasks.from_label_image(LABELS), ["isolated", None, "masked"])


class EllipseSource:
    """A stand-in for a model: fills boxes with ellipses of a relative size, and counts its loads and calls."""

    def __init__(self, goes_on=None, *, sees=True, size=1.0):
        self.goes_on, self.sees, self.size = goes_on, sees, size
        self.opened = self.now = self.at_once = 0
        self.seen = []  # sizes of the images
        self.lock = threading.Lock()

    def open_boxes(self):
        self.opened += 1
        return self.fill

    def fill(self, grey, box):
        with self.lock:
            self.now += 1
            self.at_once = max(self.at_once, self.now)
            self.seen.append(grey.shape)
        if self.goes_on is not None:
            assert self.goes_on.wait(30)
        with self.lock:
            self.now -= 1
        if not self.sees:
            return np.zeros((0, 0), np.uint8), (0, 0)
        x1, y1, x2, y2 = box
        radii = self.size * (x2 - x1) / 2, self.size * (y2 - y1) / 2
        return ellipse_mask(((x1 + x2) / 2, (y1 + y2) / 2), radii, grey.shape)

    def as_record(self):
        return {"kind": "model", "path": "models/ellipses.semsize", "sha256": "0" * 64}
