"""Deviation of masks of 28 and 56 cells from the outline that they sample; docs/notebook/dense.md has the result.

python tools/benchmarks/sawtooth.py --figure docs/figures/dense_sawtooth.png

Ellipses have axes 1.44 : 1 and random sub-pixel places. Logits are the signed distance to the outline in pixels,
sampled at the cells of a fractional box that touches the ellipse or leaves a pixel around it.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from semsize.measuring.tables import markdown_table
from semsize.metrology import equivalent_circular_diameter
from semsize.structures.masks import CroppedMasks
from tio2.cli import required_imports

with required_imports():
    import torch

    from tio2.models.mask_head import paste_masks

DIAMETERS_PX = (30, 60, 120)
MARGINS_PX = (0, 1)
ASPECT = np.array([1.2, 1 / 1.2])
FRAME = (160, 200)
EXACT, PAPER, STOCK, OURS = (
    "exactly rasterised",
    "28 cells, nearest, binary (the paper's)",
    "28 cells, bilinear (stock)",
    "56 cells, bilinear (ours)",
)


@dataclass(frozen=True)
class Ellipses:
    """Ellipses of one size at P places: centres and half axes as x, y in pixels, and their boxes."""

    centres: np.ndarray  # (P, 2)
    half_axes: np.ndarray  # (2,)
    boxes: np.ndarray  # (P, 4) xyxy

    def distance(self, number: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance from the outline in pixels, to first order, positive inside."""
        u, v = ((p - c) / a for p, c, a in zip((x, y), self.centres[number], self.half_axes, strict=True))
        radius = np.hypot(u, v)
        slope = np.hypot(u / self.half_axes[0], v / self.half_axes[1]) / np.maximum(radius, 1e-9)
        return (1 - radius) / np.maximum(slope, 1e-9)

    def logits(self, cells: int) -> np.ndarray:
        """(P, cells, cells) distances at the cells of each box."""
        steps = (np.arange(cells) + 0.5) / cells
        return np.stack(
            [
                self.distance(number, (x1 + steps * (x2 - x1))[None], (y1 + steps * (y2 - y1))[:, None])
                for number, (x1, y1, x2, y2) in enumerate(self.boxes)
            ]
        )


def ellipses(diameter: float, margin: float, phases: int) -> Ellipses:
    """Ellipses of one diameter at random sub-pixel places, with boxes `margin` px larger on every side."""
    half_axes = diameter / 2 * ASPECT
    centres = 80 + np.random.default_rng(0).random((phases, 2))
    return Ellipses(centres, half_axes, np.hstack([centres - half_axes - margin, centres + half_axes + margin]))


def nearest_binary(shapes: Ellipses) -> CroppedMasks:
    """Binary 28 px masks, resized to their boxes' nearest pixels by nearest neighbours (paper, section 4.2.2)."""
    placed = []
    for mask, box in zip(shapes.logits(28) >= 0, shapes.boxes, strict=True):
        x1, y1, x2, y2 = np.rint(box).astype(int)
        placed.append(
            (cv2.resize(mask.astype(np.uint8), (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST), (y1, x1))
        )
    return CroppedMasks.from_crops(placed, FRAME)


def pasted(shapes: Ellipses, cells: int) -> CroppedMasks:
    """Masks by the dense mask head from the logits; with 28 cells they equal MMDetection's."""
    logits, boxes = torch.from_numpy(shapes.logits(cells)).float(), torch.from_numpy(shapes.boxes).float()
    return paste_masks(logits, boxes, FRAME, 0.5)[0]


def all_masks(shapes: Ellipses) -> dict[str, CroppedMasks]:
    """Masks of the ellipses, made in each way."""
    rows, columns = np.mgrid[: FRAME[0], : FRAME[1]] + 0.5
    exact = [shapes.distance(number, columns, rows) >= 0 for number in range(len(shapes.centres))]
    return {
        EXACT: CroppedMasks.from_full(np.stack(exact)),
        PAPER: nearest_binary(shapes),
        STOCK: pasted(shapes, 28),
        OURS: pasted(shapes, 56),
    }


def contour_deviations(shapes: Ellipses, masks: CroppedMasks) -> tuple[float, float]:
    """Distances, px, between the true outline and the middles of the pixel edges that bound a mask: RMS, largest."""
    squares, largest = [], 0.0
    for number, (crop, (row, column)) in enumerate(masks):
        padded = np.pad(crop, 1).astype(np.int8)
        beside, below = np.argwhere(np.diff(padded, axis=1)), np.argwhere(np.diff(padded, axis=0))
        y = np.concatenate([beside[:, 0] + 0.5, below[:, 0] + 1]) + row - 1
        x = np.concatenate([beside[:, 1] + 1, below[:, 1] + 0.5]) + column - 1
        distance = abs(shapes.distance(number, x, y))
        squares.append(np.mean(distance**2))
        largest = max(largest, float(distance.max()))
    return float(np.sqrt(np.mean(squares))), largest


def rows_of(diameter: float, margin: float, phases: int) -> list[list[object]]:
    """A row for each way of making masks."""
    shapes = ellipses(diameter, margin, phases)
    rows, exact_spread = [], None
    for name, masks in all_masks(shapes).items():
        errors = 100 * (equivalent_circular_diameter(masks.areas) / diameter - 1)
        spread = float(errors.std())
        exact_spread = exact_spread or spread
        values = (float(errors.mean()), spread, spread / exact_spread, *contour_deviations(shapes, masks))
        rows.append([diameter, margin, name, *values])
    return rows


def draw(path: Path) -> None:
    """Draw an ellipse of 60 px as masks made in three ways, with its true outline."""
    from matplotlib.figure import Figure

    shapes = ellipses(60, 0, 1)
    masks = all_masks(shapes)
    figure = Figure(figsize=(9, 3.1), layout="constrained")
    turn = np.linspace(0, 2 * np.pi, 400)
    outline = shapes.centres[0][:, None] + shapes.half_axes[:, None] * np.stack([np.cos(turn), np.sin(turn)])
    x1, y1, x2, y2 = shapes.boxes[0]
    for axes, name in zip(figure.subplots(1, 3), (PAPER, STOCK, OURS), strict=True):
        axes.imshow(masks[name].to_full()[0], cmap="Greys", vmax=2, extent=(0, FRAME[1], FRAME[0], 0))
        axes.plot(*outline, color="tab:red", linewidth=1)
        axes.set(title=name, xlim=(x1 - 2, (x1 + x2) / 2 + 2), ylim=((y1 + y2) / 2 + 2, y1 - 2), xticks=[], yticks=[])
        axes.title.set_fontsize(9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure the masks, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=int, default=200, help="sub-pixel places of an ellipse (default: %(default)s)")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="also draw one ellipse in three ways")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for size in DIAMETERS_PX for margin in MARGINS_PX for row in rows_of(size, margin, arguments.phases)]
    header = [
        "ECD, px",
        "margin, px",
        "mask",
        "ECD bias, %",
        "spread, %",
        "spread / exact",
        "contour RMS, px",
        "max, px",
    ]
    print(markdown_table(header, rows, decimals=2))
    if arguments.figure:
        draw(arguments.figure)
        print(f"picture: {arguments.figure}")


if __name__ == "__main__":
    main()
