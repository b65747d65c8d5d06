"""Compare rendered images with real ones: sizes, grey levels, gradients, and how well a classifier tells patches apart.

python tools/benchmarks/realism.py data/bam-tio2-sem/annotations/train.json data/bam-tio2-sem/images/train \
    data/rendered/annotations/train.json data/rendered/images/train

Prints a Markdown table. The AUC is that of a logistic regression on 31 statistics of 64 px patches with particles,
cross-validated over images: 0.5 = cannot be told apart, 1 = always told apart. A second classifier takes the 15 nearest
neighbours among patches of other images. For comparison, both also tell one half of the real images from the other.
`--sheet work_dirs/realism.png` draws both sets side by side, real ones left; their licence forbids publishing it.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from semsize.cli import one_line_errors
from semsize.metrology import equivalent_circular_diameter
from semsize.sem import read_grey
from semsize.structures import AnnotationError, read_annotations
from semsize.structures.masks import CroppedMasks

PATCH = 64
HALVINGS = 10
MIN_COVER = 0.15  # share of a patch that particles cover
FULLY_IMAGED = ("isolated", "complete", "touch_complete")


@dataclass(frozen=True, eq=False)
class Sample:
    """One image and its particles."""

    image: np.ndarray  # (H, W) float32, 0-255
    covered: np.ndarray  # (H, W) bool
    ecds_nm: np.ndarray  # (N,) ECD of fully imaged particles that the frame does not cut
    aspect_ratios: np.ndarray  # (N,) aspect ratios of their smallest rectangles


def main() -> None:
    """Read both sets, describe them, classify their patches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("real_annotations", "real_images", "rendered_annotations", "rendered_images"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write crops of both sets side by side")
    arguments = parser.parse_args()
    with one_line_errors(AnnotationError, ValueError, OSError):
        real = read_samples(arguments.real_annotations, arguments.real_images)
        rendered = read_samples(arguments.rendered_annotations, arguments.rendered_images)
    print("| | real | rendered |\n|---|---|---|")
    for (name, left), right in zip(describe(real).items(), describe(rendered).values(), strict=True):
        print(f"| {name} | {left} | {right} |")
    auc = patch_aucs(real, rendered)
    halves = np.array([patch_aucs(*halve(real, np.random.default_rng(seed))) for seed in range(HALVINGS)])
    for number, name in enumerate(("patch classifier", "15 nearest neighbours")):
        share = halves[:, number]
        print(f"| AUC of the {name} | halves: {share.mean():.2f}, spread {share.std():.2f} | {auc[number]:.3f} |")
    if arguments.sheet:
        with one_line_errors(ValueError, OSError, cv2.error):
            write_sheet(arguments.sheet, real, rendered)


def read_samples(annotations: Path, images: Path) -> list[Sample]:
    """Read all images of a split."""
    data = read_annotations(annotations)
    samples = []
    for record in data["images"]:
        particles = [p for p in data["annotations"] if p["image_id"] == record["id"] and not p["iscrowd"]]
        image = read_grey(images / record["file_name"])
        rles = [p["segmentation"] for p in particles]
        masks = CroppedMasks.from_rles(rles) if rles else CroppedMasks.empty(image.shape)
        covered = masks.union()
        whole = np.array([p["state"] in FULLY_IMAGED for p in particles], dtype=bool)
        boxes = masks.boxes
        whole &= (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < image.shape[::-1]).all(axis=1)
        ecds = equivalent_circular_diameter(masks.areas[whole]) * record["pixel_size_nm"]
        ratios = np.array([aspect_ratio(crop) for crop, _ in masks[whole]])
        samples.append(Sample(image, covered, ecds, ratios))
    return samples


def aspect_ratio(crop: np.ndarray) -> float:
    """Long over short side of the smallest rectangle around a mask, measured to the edges of pixels."""
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


def halve(samples: list[Sample], rng: np.random.Generator) -> tuple[list[Sample], list[Sample]]:
    """Divide the images at random into two halves."""
    order = rng.permutation(len(samples))
    return tuple([samples[k] for k in half] for half in np.array_split(order, 2))


def patch_aucs(real: list[Sample], rendered: list[Sample], per_image: int = 30, folds: int = 5) -> tuple[float, float]:
    """Areas under the ROC curves of two classifiers on patches of images that they did not learn from."""
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
    linear, nearest = np.empty((2, len(x)))
    for k in range(folds):
        held = fold == k
        linear[held] = x[held] @ fit_logistic(x[~held], y[~held])
        nearest[held] = y[~held][cKDTree(x[~held]).query(x[held], k=15)[1]].mean(axis=1)
    return roc_area(linear, y), roc_area(nearest, y)


def roc_area(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of pairs of labels 0 and 1 in which 1 has the higher score; ties count half."""
    ranks = rankdata(scores)
    positives = labels.sum()
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


def write_sheet(path: Path, real: list[Sample], rendered: list[Sample], rows: int = 6) -> None:
    """Write crops of 320 px at the same scale, real left, rendered right, paired by rank of the covered share."""
    columns = []
    for samples in (real, rendered):
        ranked = sorted(samples, key=lambda sample: sample.covered.mean())
        ranks = np.linspace(0.1, 0.95, rows) * (len(ranked) - 1)
        columns.append(np.concatenate([dense_crop(ranked[round(rank)], 320) for rank in ranks]))
    sheet = np.concatenate([columns[0], np.full((len(columns[0]), 4), 255, np.float32), columns[1]], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.rint(sheet).astype(np.uint8)):
        raise OSError(f"{path}: cannot be written; name a .png in a folder that can be")


def dense_crop(sample: Sample, size: int) -> np.ndarray:
    """The window (size, size) of an image whose covered share exceeds that of nine tenths of the windows."""
    total = cv2.integral(sample.covered.astype(np.float32))
    cover = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    row, column = np.unravel_index(np.argmin(np.abs(cover - np.quantile(cover, 0.9))), cover.shape)
    return sample.image[row : row + size, column : column + size]


def draw_patches(sample: Sample, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Up to `count` patches with enough particles, from 40 times as many tried."""
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
