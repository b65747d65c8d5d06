"""How well a patch classifier tells where particles were replaced by background: AUC 0.5 = not at all, 1 = always.

python tools/benchmarks/ghosts.py --ann data/bam-tio2-sem/annotations/train.json

A small convolutional network learns to tell 32 px patches mostly in replaced places from patches in true background,
and is tested on other images. Two plainer ways to replace particles show that it can tell them at all. Prints a
Markdown table.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import rankdata

from semsize.cli import one_line_errors
from semsize.sem.image_sets import outlined_images
from tio2.agglomerates.backgrounds import (
    HALO_PX,
    distance_to_particles,
    emptied,
    smooth_field,
    without_shadow,
)

PATCH_PX = 32
LEAST_SHARE = 0.6  # replaced share of a patch that counts as replaced
CLEAR_PX = 14  # distance of a true patch from replaced places: more than the seam
FOLDS = 4


def main() -> None:
    """Replace particles, cut patches, classify them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ann", type=Path, required=True, help="annotation file")
    parser.add_argument("--images", type=Path, help="folder of its images (default: images/<split> of its data set)")
    parser.add_argument("--patches", type=int, default=80, help="of each kind in each image (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each training (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| particles replaced by | patches | AUC on images not seen |\n|---|---|---|", flush=True)
    with one_line_errors(ValueError, OSError):
        pairs = list(outlined_images(arguments.ann, arguments.images))
        for name, replace in FILLS.items():
            rng = np.random.default_rng(arguments.seed)
            sets = [
                draw_patches(image, distance_to_particles(m), replace, arguments.patches, rng)
                for _, image, m, _ in pairs
            ]
            auc = cross_validated_auc(sets, arguments.epochs, arguments.seed)
            print(f"| {name} | {sum(len(y) for _, y in sets)} | {auc:.3f} |", flush=True)


def smooth_with_noise(image: np.ndarray, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The smooth field with white noise of the background's variance."""
    bare, lit = distance > HALO_PX, without_shadow(image, distance)
    field = smooth_field(lit, bare)
    noise = rng.normal(0, (lit - field)[bare].std(), image.shape)
    return np.rint(np.clip(np.where(bare, lit, field + noise), 0, 255))


def inpainted(image: np.ndarray, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    """OpenCV's inpainting by Telea's method."""
    lit = np.rint(np.clip(without_shadow(image, distance), 0, 255)).astype(np.uint8)
    return cv2.inpaint(lit, (distance <= HALO_PX).astype(np.uint8), 5, cv2.INPAINT_TELEA).astype(np.float32)


FILLS = {
    "background texture (ours)": emptied,
    "smooth level and white noise": smooth_with_noise,
    "OpenCV's inpainting": inpainted,
}


def draw_patches(image, distance, replace, count, rng) -> tuple[np.ndarray, np.ndarray]:
    """Patches (K, 1, 32, 32) in units of the background's spread, and labels (K,): 1 for replaced places."""
    empty, bare = replace(image, distance, np.random.default_rng(rng.integers(2**32))), distance > HALO_PX
    scaled = (empty - empty[bare].mean()) / empty[bare].std()
    share = cv2.boxFilter((~bare).astype(np.float32), -1, (PATCH_PX, PATCH_PX), anchor=(0, 0))
    clear = cv2.erode(bare.astype(np.uint8), np.ones((2 * CLEAR_PX + 1,) * 2, np.uint8))
    true = cv2.erode(clear, np.ones((PATCH_PX, PATCH_PX), np.uint8), anchor=(0, 0))
    inner = (slice(0, image.shape[0] - PATCH_PX), slice(0, image.shape[1] - PATCH_PX))
    patches, labels = [], []
    for label, places in enumerate((np.argwhere(true[inner] > 0), np.argwhere(share[inner] >= LEAST_SHARE))):
        for row, column in places[rng.permutation(len(places))[:count]]:
            patches.append(scaled[row : row + PATCH_PX, column : column + PATCH_PX])
            labels.append(label)
    return np.array(patches, np.float32)[:, None], np.array(labels)


def cross_validated_auc(sets: list[tuple[np.ndarray, np.ndarray]], epochs: int, seed: int) -> float:
    """Mean AUC on held-out images over folds of images."""
    folds = np.random.default_rng(seed).permutation(len(sets)) % FOLDS
    values = []
    for fold in range(FOLDS):
        train, test = ([s for s, f in zip(sets, folds, strict=True) if (f == fold) == held] for held in (False, True))
        (x, y), (x_test, y_test) = (tuple(map(np.concatenate, zip(*part, strict=True))) for part in (train, test))
        values.append(auc_of(trained_scores(x, y, x_test, epochs, seed + fold), y_test))
    return float(np.mean(values))


def trained_scores(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, epochs: int, seed: int) -> np.ndarray:
    """Scores of test patches by a network of four convolutions, trained with random mirroring."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    widths = [1, 16, 32, 32, 64]
    layers = [
        layer
        for i in range(4)
        for layer in (
            nn.Conv2d(widths[i], widths[i + 1], 3, stride=1 + (i > 0)),
            nn.BatchNorm2d(widths[i + 1]),
            nn.ReLU(),
        )
    ]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y).float()
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            axes = [axis for axis in (2, 3) if torch.rand(1) < 0.5]
            loss = nn.functional.binary_cross_entropy_with_logits(net(inputs[batch].flip(axes))[:, 0], targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        return net(torch.from_numpy(x_test))[:, 0].numpy()


def auc_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of pairs of a replaced and a true patch in which the replaced patch scores higher."""
    positives = int(labels.sum())
    ranks = rankdata(scores)[labels == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives)))


if __name__ == "__main__":
    main()
