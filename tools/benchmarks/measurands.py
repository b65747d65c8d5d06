"""Bias of every measurand's estimators on shapes in closed form; docs/notebook/measurands.md has the result.

python tools/benchmarks/measurands.py
python tools/benchmarks/measurands.py --sizes 10 11 12 14 16 20 25 30 40 60 80 100
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from semsize.measuring.tables import markdown_table
from semsize.metrology.measurands import Measurands, measure
from semsize.structures.masks import CroppedMasks

SIZES_PX = (10, 14, 20, 30, 50, 70, 100)
ASPECT_RATIOS = {"disk": (1.0,), "ellipse": (0.8, 0.5), "rectangle": (0.6, 0.4), "square": (1.0,)}
ANGLES = np.radians(np.arange(0, 90, 5))
FRAME_PX = 160
SCAN = np.radians(np.arange(0, 180, 0.5))


@dataclass(frozen=True)
class Shape:
    """A shape in closed form: its kind, longer axis or side, shorter / longer, and turn in radians."""

    kind: str
    length_px: float
    ratio: float
    angle: float

    @property
    def has_corners(self) -> bool:
        """Whether it is a rectangle or square."""
        return self.kind in ("rectangle", "square")

    def truth(self) -> dict[str, float]:
        """True Feret diameters, perimeter and dimensionless measurands of the outline."""
        a, b = self.length_px, self.length_px * self.ratio
        if self.has_corners:
            feret_max, perimeter, area = np.hypot(a, b), 2 * (a + b), a * b
        else:  # Ramanujan's second approximation, exact for a circle, to 1e-5 for these ratios
            h = ((a - b) / (a + b)) ** 2
            perimeter = np.pi * (a + b) / 2 * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h)))
            feret_max, area = a, np.pi * a * b / 4
        return {
            "area_px": area,
            "ecd_px": 2 * np.sqrt(area / np.pi),
            "feret_min_px": b,
            "feret_max_px": feret_max,
            "perimeter_px": perimeter,
            "aspect_ratio": b / feret_max,
            "circularity": 2 * np.sqrt(np.pi * area) / perimeter,
            "solidity": 1.0,
        }

    def mask(self, phase: np.ndarray) -> np.ndarray:
        """(FRAME_PX, FRAME_PX) bool: pixel centres inside; the shape's centre is the frame's + ``phase``."""
        rows, columns = np.mgrid[:FRAME_PX, :FRAME_PX] + 0.5 - FRAME_PX / 2 - phase[:, None, None]
        along = columns * np.cos(self.angle) + rows * np.sin(self.angle)
        across = rows * np.cos(self.angle) - columns * np.sin(self.angle)
        u, v = along / (self.length_px / 2), across / (self.length_px * self.ratio / 2)
        return (np.maximum(abs(u), abs(v)) <= 1) if self.has_corners else (u**2 + v**2 <= 1)


def shapes(kind: str, sizes_px: Sequence[float]) -> Iterator[Shape]:
    """Yield all shapes of a kind in the table; disks are not turned."""
    for length in sizes_px:
        for ratio in ASPECT_RATIOS[kind]:
            yield from (Shape(kind, length, ratio, angle) for angle in (ANGLES if kind != "disk" else ANGLES[:1]))


def rasterised(shape: Shape, phases: np.ndarray) -> CroppedMasks:
    """P masks: the shape at each sub-pixel phase (P, 2)."""
    return CroppedMasks.from_full(np.stack([shape.mask(phase) for phase in phases]))


def feret_candidates(masks: CroppedMasks) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Other estimators of the smallest and largest Feret diameter, which scan directions half a degree apart."""
    directions = np.stack([np.sin(SCAN), np.cos(SCAN)])
    widths = np.array([np.ptp(np.argwhere(crop) @ directions, axis=0) for crop in masks.crops])  # (P, angles)
    additions = {
        "pixel corners": abs(directions).sum(axis=0),
        "edge midpoints": abs(directions).max(axis=0),
        "centres + 0.5": np.full(len(SCAN), 0.5),
    }
    return {name: ((widths + more).min(axis=1), (widths + more).max(axis=1)) for name, more in additions.items()}


def perimeter_candidates(masks: CroppedMasks) -> dict[str, np.ndarray]:
    """Other estimators of the perimeter."""
    from skimage.measure import perimeter, perimeter_crofton

    padded = [np.pad(crop, 1) for crop in masks.crops]
    return {
        "scikit-image perimeter_crofton(4)": np.array([perimeter_crofton(crop, directions=4) for crop in padded]),
        "scikit-image perimeter(4)": np.array([perimeter(crop, neighborhood=4) for crop in padded]),
    }


def collect(
    kind: str, sizes_px: Sequence[float], phases: np.ndarray
) -> tuple[list[Shape], list[Measurands], list[dict], list[dict]]:
    """Measure every shape of a kind over the phases: its measurands and the results of the other estimators."""
    which, ours, ferets, outlines = list(shapes(kind, sizes_px)), [], [], []
    for shape in which:
        masks = rasterised(shape, phases)
        ours.append(measure(masks))
        ferets.append(feret_candidates(masks))
        outlines.append(perimeter_candidates(masks))
    return which, ours, ferets, outlines


def feret_rows(kind: str, which: list[Shape], ours: list[Measurands], others: list[dict]) -> list[list]:
    """A row for each estimator: bias in px, minimum then maximum Feret diameter."""
    rows = []
    for name in ("ours", *others[0]):
        row = [kind, name]
        for position, key in enumerate(("feret_min_px", "feret_max_px")):
            measured = [
                getattr(o, key) if name == "ours" else c[name][position] for o, c in zip(ours, others, strict=True)
            ]
            errors = np.array(measured) - np.array([[shape.truth()[key]] for shape in which])
            row += [errors.mean(), abs(errors.mean(axis=1)).mean(), abs(errors).max()]
        rows.append(row)
    return rows


def perimeter_rows(kind: str, which: list[Shape], ours: list[Measurands], others: list[dict]) -> list[list]:
    """A row for each estimator: bias in % (mean over phases) of shapes of 20 px and more, and the worst angle."""
    rows = []
    large = [n for n, shape in enumerate(which) if shape.length_px >= 20]
    for name in ("Crofton, 8 directions (ours)", *others[0]):
        measured = np.array([others[n][name] if name in others[n] else ours[n].perimeter_px for n in large])
        bias = 100 * (measured.mean(axis=1) / [which[n].truth()["perimeter_px"] for n in large] - 1)
        worst = int(abs(bias).argmax())
        rows.append([kind, name, bias.mean(), bias.min(), bias.max(), round(np.degrees(which[large[worst]].angle))])
    return rows


def angle_rows(turned: list[tuple[Shape, Measurands]]) -> list[list]:
    """Perimeter bias of rectangles and squares by angle, in %: from 20 px on, and below."""
    bias = 100 * np.array([ours.perimeter_px.mean() / shape.truth()["perimeter_px"] - 1 for shape, ours in turned])
    angles = np.array([round(np.degrees(shape.angle)) for shape, _ in turned])
    small = np.array([shape.length_px < 20 for shape, _ in turned])
    return [
        [
            int(angle),
            *(f(bias[(angles == angle) & group]) for group in (~small, small) for f in (np.mean, np.min, np.max)),
        ]
        for angle in np.unique(angles)
    ]


def relative_rows(kind: str, which: list[Shape], ours: list[Measurands]) -> list[list]:
    """A row for each size: bias of every measurand in %, mean over ratios, angles and phases."""
    keys = (
        "area_px",
        "ecd_px",
        "feret_min_px",
        "feret_max_px",
        "perimeter_px",
        "aspect_ratio",
        "circularity",
        "solidity",
    )
    rows = []
    for length in sorted({shape.length_px for shape in which}):
        chosen = [n for n, shape in enumerate(which) if shape.length_px == length]
        biases = [np.mean([100 * (getattr(ours[n], key) / which[n].truth()[key] - 1) for n in chosen]) for key in keys]
        rows.append([kind, length, *map(float, biases)])
    return rows


def main() -> None:
    """Measure all shapes and print the four tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=int, default=12, help="sub-pixel positions of a shape (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the positions (default: %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES_PX, metavar="PX", help="lengths of the shapes")
    arguments = parser.parse_args()
    phases = np.random.default_rng(arguments.seed).uniform(-0.5, 0.5, (arguments.phases, 2))
    feret, outline, relative, turned = [], [], [], []
    for kind in ASPECT_RATIOS:
        which, ours, ferets, outlines = collect(kind, arguments.sizes, phases)
        feret += feret_rows(kind, which, ours, ferets)
        outline += perimeter_rows(kind, which, ours, outlines)
        relative += relative_rows(kind, which, ours)
        turned += list(zip(which, ours, strict=True)) if which[0].has_corners else []
    three = ("mean", "mean of |mean of a shape|", "largest of a particle")
    print("Feret diameters, error in px\n")
    header = ["shape", "estimator", *(f"{end}: {what}" for end in ("min", "max") for what in three)]
    print(markdown_table(header, feret, decimals=2))
    print("Perimeter, error in %, means over the phases, shapes 20 px and longer\n")
    print(
        markdown_table(
            ["shape", "estimator", "mean", "lowest", "highest", "angle of the worst, °"], outline, decimals=2
        )
    )
    print("Perimeter of rectangles and squares by angle, error in %: 20 px and longer, then 10 and 14 px\n")
    sizes = [f"{what}{size}" for size in ("", " (small)") for what in ("mean", "lowest", "highest")]
    print(markdown_table(["angle, °", *sizes], angle_rows(turned), decimals=2))
    print("All measurands, mean error in %\n")
    names = ["area", "ECD", "Feret min", "Feret max", "perimeter", "aspect ratio", "circularity", "solidity"]
    print(markdown_table(["shape", "length, px", *names], relative, decimals=2))


if __name__ == "__main__":
    main()
