"""Compare rendered images with real ones: sizes, grey levels, gradients, and how well a classifier tells patches apart.

python tools/benchmarks/realism.py data/bam-tio2-sem/annotations/train.json data/bam-tio2-sem/images/train \
    data/rendered/annotations/train.json data/rendered/images/train

Prints a Markdown table. The AUC is that of a logistic regression on 30 statistics of 64 px patches that show particles,
cross-validated over images: 0.5 = cannot be told apart, 1 = always told apart.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize
from scipy.stats import rankdata

from tio2.cli import one_line_errors
from tio2.sem import read_grey
from tio2.structures.annotations import AnnotationError, read_annotations
from tio2.structures.masks import CroppedMasks

PATCH = 64
MIN_COVER = 0.15  # of a patch by particles
FULLY_IMAGED = ("isolated", "complete", "touch_complete")


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and its particles."""

    image: np.ndarray  # (H, W) float32, 0-255
    covered: np.ndarray  # (H, W) bool
    ecds_nm: np.ndarray  # (N,) of fully imaged particles that the frame does not cut
    aspect_ratios: np.ndarray  # (N,) of their smallest rectangles


def main() -> None:
    """Read both sets, describe them, classify, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("real_annotations", "real_images", "rendered_annotations", "rendered_images"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    with one_line_errors(AnnotationError, ValueError, OSError):
        real = read_samples(arguments.real_annotations, arguments.real_images)
        rendered = read_samples(arguments.rendered_annotations, arguments.rendered_images)
    print("| | real | rendered |\n|---|---|---|")
    for (name, left), right in zip(describe(real).items(), describe(rendered).values(), strict=True):
        print(f"| {name} | {left} | {right} |")
    print(f"| AUC of the patch classifier | {patch_auc(real, rendered):.3f} | |")


def read_samples(annotations: Path, images: Path) -> list[Sample]:
    """All images of a split."""
    data = read_annotations(annotations)
    samples = []
    for record in data["images"]:
        particles = [p for p in data["annotations"] if p["image_id"] == record["id"] and not p["iscrowd"]]
        masks = (
            CroppedMasks.from_rles([p["segmentation"] for p in particles]) if particles else CroppedMasks.empty((1, 1))
        )
        image = read_grey(images / record["file_name"])
        covered = np.zeros(image.shape, dtype=bool)
        for crop, (row, column) in masks:
            covered[row : row + crop.shape[0], column : column + crop.shape[1]] |= crop > 0
        whole = np.array([p["state"] in FULLY_IMAGED for p in particles], dtype=bool)
        boxes = masks.boxes
        whole &= (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < image.shape[::-1]).all(axis=1)
        ecds = np.sqrt(4 * masks.areas[whole] / np.pi) * record["pixel_size_nm"]
        ratios = np.array([aspect_ratio(crop) for crop, _ in masks[whole]])
        samples.append(Sample(image, covered, ecds, ratios))
    return samples


def aspect_ratio(crop: np.ndarray) -> float:
    """Long over short side of the smallest rectangle around a mask, sides counted to the edges of pixels."""
    contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    sides = np.add(cv2.minAreaRect(max(contours, key=len))[1], 1)
    return float(sides.max() / sides.min())


def describe(samples: list[Sample]) -> dict[str, str]:
    """Statistics by name; levels and gradients are medians over images."""
    ecds = np.concatenate([s.ecds_nm for s in samples])
    ratios = np.concatenate([s.aspect_ratios for s in samples])
    gradients = [np.hypot(*(cv2.Sobel(s.image, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0))) for s in samples]

    def levels(values: list[np.ndarray], shares: tuple[float, ...]) -> str:
        rows = [np.percentile(v, shares) for v in values if v.size]
        return " / ".join(f"{v:.0f}" for v in np.median(rows, axis=0))

    return {
        "images": str(len(samples)),
        "fully imaged particles": str(len(ecds)),
        "ECD, nm: 5, 25, 50, 75, 95 %": " / ".join(f"{v:.0f}" for v in np.percentile(ecds, (5, 25, 50, 75, 95))),
        "aspect ratio: 25, 50, 75, 95 %": " / ".join(f"{v:.2f}" for v in np.percentile(ratios, (25, 50, 75, 95))),
        "grey levels of particles: 1, 10, 50, 90, 99 %": levels(
            [s.image[s.covered] for s in samples], (1, 10, 50, 90, 99)
        ),
        "grey levels beside them: 1, 50, 99 %": levels([s.image[~s.covered] for s in samples], (1, 50, 99)),
        "gradient in particles, levels/px: 10, 50, 90, 97, 99.5 %": levels(
            [g[s.covered] for g, s in zip(gradients, samples, strict=True)], (10, 50, 90, 97, 99.5)
        ),
    }


def patch_auc(real: list[Sample], rendered: list[Sample], per_image: int = 30, folds: int = 5) -> float:
    """Area under the ROC curve of patches judged by a classifier that saw only patches of other images."""
    rng = np.random.default_rng(0)
    features, labels, groups = [], [], []
    for label, samples in enumerate((real, rendered)):
        for number, sample in enumerate(samples):
            found = [patch_features(patch) for patch in draw_patches(sample, per_image, rng)]
            features += found
            labels += [label] * len(found)
            groups += [number % folds] * len(found)
    x, y, fold = np.array(features), np.array(labels), np.array(groups)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    scores = np.empty(len(x))
    for k in range(folds):
        scores[fold == k] = x[fold == k] @ fit_logistic(x[fold != k], y[fold != k])
    ranks = rankdata(scores)
    positives = y.sum()
    return float((ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives)))


def draw_patches(sample: Sample, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Up to `count` patches, of 40 times as many tried, that show enough particles."""
    cover = cv2.integral(sample.covered.astype(np.float32))
    patches = []
    for row, column in rng.integers(0, np.array(sample.image.shape) - PATCH, (40 * count, 2)):
        corners = cover[row : row + PATCH + 1 : PATCH, column : column + PATCH + 1 : PATCH]
        if corners[1, 1] - corners[0, 1] - corners[1, 0] + corners[0, 0] >= MIN_COVER * PATCH**2:
            patches.append(sample.image[row : row + PATCH, column : column + PATCH])
        if len(patches) == count:
            break
    return patches


def patch_features(patch: np.ndarray) -> np.ndarray:
    """Statistics of grey levels, gradients, the power spectrum and curvature, (31,)."""
    gradient = np.hypot(*(cv2.Sobel(patch, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0)))
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    power = np.abs(np.fft.rfft2((patch - patch.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(PATCH)[:, None], np.fft.rfftfreq(PATCH))
    edges = np.linspace(0.02, 0.5, 11)
    spectrum = [np.log1p(power[(frequency >= a) & (frequency < b)].mean()) for a, b in pairwise(edges)]
    curvature = [
        np.percentile(cv2.Laplacian(cv2.GaussianBlur(patch, (0, 0), s), cv2.CV_32F), (1, 99)) for s in (1, 2, 4)
    ]
    levels = np.percentile(patch, (1, 10, 25, 50, 75, 90, 99))
    slopes = np.percentile(gradient, (10, 25, 50, 75, 90, 97, 99.5))
    return np.concatenate([levels, [patch.std()], slopes, spectrum, *curvature])


def fit_logistic(x: np.ndarray, y: np.ndarray, penalty: float = 3.0) -> np.ndarray:
    """Weights (F,) of a logistic regression of y (N,) in 0, 1 on x (N, F), with a ridge penalty."""
    sign = 2 * y - 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights)
        pull = -sign / (1 + np.exp(np.clip(margin, -500, 500)))
        value = np.logaddexp(0, -margin).sum() + penalty / 2 * weights @ weights
        return float(value), pull @ x + penalty * weights

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x


if __name__ == "__main__":
    main()
