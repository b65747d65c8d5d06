"""Rendered scenes seen through a model with known errors, and the visibility record of that model."""

import numpy as np

from semsize.metrology import ModelUse
from semsize.metrology.comparison import ImageFound, ImageTruth, compare_image
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.synthesis import RenderSettings, render_image
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import CalibratedModel, Calibration
from semsize.visibility.states import BINS, StateThresholds, fraction_bins
from semsize.visibility.truth import SIZES, sizes_px
from semsize.visibility.validation import make_visibility_record, predict_compared

USE = ModelUse("d" * 64, "torch", "float32", {"scales": [1.0]})
SETTINGS = RenderSettings(seed=5, shape=(520, 700), preset="agglomerated", particles=220)
RATIO = 1.05  # factor by which the model's whole sizes are too large


class Oracle:
    """A model that knows an outline's fraction in nine of ten cases, is sure of it, and gives sizes 5 % too large."""

    def __init__(self, outlines, truth, particle, rng):
        fractions = np.where(rng.random(len(outlines)) < 0.9, truth, rng.uniform(0.2, 1, len(outlines)))
        self.asked, self.count = 0, len(outlines)
        sure = np.full((len(outlines), BINS), 0.001 / BINS)
        sure[np.arange(len(outlines)), fraction_bins(fractions)] += 0.999
        whole = RATIO / np.sqrt(truth) * rng.normal(1, 0.03, len(outlines))
        ratios = whole[:, None, None] * np.broadcast_to([0.99, 1, 1.01], (len(outlines), len(SIZES), 3))
        self.answers = CropAnswers(sure, particle, np.zeros((len(outlines), 64, 64)), ratios)

    def __call__(self, crops):
        part = self.answers[self.asked : self.asked + len(crops)]
        self.asked += len(crops)
        return part


def seen_image(number, rng):
    """A rendered scene with a tenth of the particles overlooked and as many false outlines."""
    rendered = render_image(SETTINGS, number)
    truth, pixel_nm = rendered.truth, SETTINGS.pixel_size_nm
    visible, shape = truth.visible, truth.visible.image_shape
    whole_nm = sizes_px(truth.full) * pixel_nm
    particles = [
        {
            "segmentation": rle, "iscrowd": 0, "state": state, "visible_fraction": fraction, "truncated": False,
            "ecd_nm": sizes[0], "feret_min_nm": sizes[1], "feret_max_nm": sizes[2], "amodal_segmentation": whole,
        }
        for rle, whole, state, fraction, sizes in zip(
            visible.to_rles(), truth.full.to_rles(), truth.states, truth.visible_fractions.tolist(), whole_nm.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    found = np.flatnonzero(rng.random(len(visible)) < 0.9)
    nothing = [(np.ones((9, 9), np.uint8), tuple(rng.integers(20, 290, 2).tolist())) for _ in range(len(visible) // 10)]
    masks = CroppedMasks.from_crops([*visible[found], *nothing], shape)
    count = len(masks)
    fractions = np.append(truth.visible_fractions[found], np.ones(len(nothing)))
    particle = np.append(np.full(len(found), 0.95), np.full(len(nothing), 0.3))
    image_truth = ImageTruth(
        number, f"{number}.png", None, PixelSize(pixel_nm), np.arange(len(visible)), visible, tuple(truth.states),
        np.zeros(len(visible), bool), CroppedMasks.empty(shape),
    )  # fmt: skip
    compared = compare_image(image_truth, ImageFound(masks, np.ones(count)))
    model = CalibratedModel(Oracle(masks, fractions, particle, rng), StateThresholds(), Calibration())
    return predict_compared(compared, particles, rendered.pixels, model)


def make(images, residuals=()):
    """The record of a model behind `USE`."""
    return make_visibility_record(
        images, residuals, checkpoint="seen.pth", sha256="a" * 64, engine="torch", precision="float32", detector=USE,
        min_score=0.5, sources=[],
    )  # fmt: skip
