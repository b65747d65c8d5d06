"""Statistics of a data set, and warnings where a detector's anchors and caps do not suit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from semsize.detecting.boxes import limit_by_area
from semsize.measuring.tables import markdown_table
from semsize.metrology import equivalent_circular_diameter
from semsize.metrology.size_distribution import quantiles
from semsize.structures.pixel_size import PixelSize
from semsize.structures.states import STATES

PERCENTILES = (1, 50, 99)
OFFSETS = 64  # number of distances between two centres over which `good_anchors` integrates
ENOUGH = 0.5  # good anchors per particle; below this finer strides are advised (docs/notebook/ablations.md)


@dataclass(frozen=True, eq=False)
class DatasetStatistics:
    """Statistics of one annotation file; regions to ignore are counted in `ignored` only."""

    name: str  # of the file
    particles_per_image: np.ndarray  # (I,) int
    image_shapes: np.ndarray  # (I, 2) rows and columns of each image
    ignored: int  # specks, crowds, regions to ignore
    ecd_px: np.ndarray  # (N,) equivalent circular diameters
    ecd_nm: np.ndarray  # (N,) equivalent circular diameters, NaN where the image has no pixel size
    boxes_px: np.ndarray  # (N, 2) widths and heights
    states: Counter[str]  # state, or `unknown`, to number of particles
    configurations: Counter[str]  # configuration, or `unknown`, to number of images
    grey_mean: float  # over all pixels, 0-255
    grey_std: float  # over all pixels


def dataset_statistics(name: str, data: Mapping, read_image: Callable[[str], np.ndarray]) -> DatasetStatistics:
    """Count and measure the particles of an annotation file.

    Args:
        name: of the file.
        data: its contents, with one image at least.
        read_image: reads a `file_name` to grey levels (H, W), 0-255.
    """
    whole = [particle for particle in data["annotations"] if not particle["iscrowd"]]
    images = {image["id"]: image for image in data["images"]}
    per_image = Counter(particle["image_id"] for particle in whole)
    ecd_px = equivalent_circular_diameter(np.array([particle["area"] for particle in whole], np.float64))
    sizes_nm = [images[particle["image_id"]]["pixel_size_nm"] for particle in whole]
    ecd_nm = [np.nan if nm is None else PixelSize(nm).to_nm(d) for d, nm in zip(ecd_px, sizes_nm, strict=True)]
    mean, std = _grey_levels(read_image(image["file_name"]) for image in data["images"])
    return DatasetStatistics(
        name=name,
        particles_per_image=np.array([per_image[number] for number in images], np.int64),
        image_shapes=np.array([(image["height"], image["width"]) for image in data["images"]], np.int64),
        ignored=len(data["annotations"]) - len(whole),
        ecd_px=ecd_px,
        ecd_nm=np.array(ecd_nm, np.float64),
        boxes_px=np.array([particle["bbox"][2:] for particle in whole], np.float64).reshape(-1, 2),
        states=Counter(particle["state"] or "unknown" for particle in whole),
        configurations=Counter(image["configuration"] or "unknown" for image in data["images"]),
        grey_mean=mean,
        grey_std=std,
    )


def statistics_table(statistics: Sequence[DatasetStatistics]) -> str:
    """Return a Markdown table with a column for each annotation file."""
    rows = [
        ["images", *(len(s.particles_per_image) for s in statistics)],
        ["particles", *(len(s.ecd_px) for s in statistics)],
        ["regions to ignore", *(s.ignored for s in statistics)],
        ["particles per image: least", *(int(s.particles_per_image.min()) for s in statistics)],
        ["– median", *(float(np.median(s.particles_per_image)) for s in statistics)],
        ["– most", *(int(s.particles_per_image.max()) for s in statistics)],
    ]
    rows += [
        [f"diameter, {percentile} %, {unit}", *(_percentile(getattr(s, f"ecd_{unit}"), percentile) for s in statistics)]
        for unit in ("px", "nm")
        for percentile in PERCENTILES
    ]
    rows += [[f"state {name}", *(s.states[name] for s in statistics)] for name in (*STATES, "unknown")]
    rows += [
        [f"images, configuration {name}", *(s.configurations[name] for s in statistics)]
        for name in sorted({name for s in statistics for name in s.configurations})
    ]
    rows.append(["grey mean", *(float(s.grey_mean) for s in statistics)])
    rows.append(["grey standard deviation", *(float(s.grey_std) for s in statistics)])
    return markdown_table(["", *(s.name for s in statistics)], rows, decimals=1)


def draw_statistics(statistics: Sequence[DatasetStatistics], limits: DetectorLimits) -> Figure:
    """Draw diameters in px, with the range of the anchors, and in nm, particles per image, and states."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    for axis, name in ((axes[0], "ecd_px"), (axes[1], "ecd_nm")):
        values = {s.name: getattr(s, name)[np.isfinite(getattr(s, name))] for s in statistics}
        joined = np.concatenate(list(values.values()))
        axis.set(xlabel=f"equivalent circular diameter ({name[4:]})", ylabel="particles")
        if not joined.size:
            axis.text(0.5, 0.5, "no pixel size", transform=axis.transAxes, ha="center")
            continue
        axis.set_xscale("log")
        axis.xaxis.set(
            major_locator=LogLocator(subs=(1, 2, 5)), major_formatter=ScalarFormatter(), minor_formatter=NullFormatter()
        )
        bins = np.geomspace(joined.min() * 0.95, joined.max() * 1.05, 30)
        for label, sample in values.items():
            axis.hist(sample, bins, histtype="step", label=label)
    sides = np.sqrt(limits.anchors_px.prod(axis=1)) / limits.scale
    axes[0].axvspan(sides.min(), sides.max(), alpha=0.15, label="anchors")
    axes[0].legend()
    edges = np.histogram_bin_edges(np.concatenate([s.particles_per_image for s in statistics]), 20)
    for s in statistics:
        axes[2].hist(s.particles_per_image, edges, histtype="step", label=s.name)
    axes[2].set(xlabel="particles in an image", ylabel="images")
    names, width = (*STATES, "unknown"), 0.8 / len(statistics)
    for number, s in enumerate(statistics):
        share = [s.states[name] / max(len(s.ecd_px), 1) for name in names]
        axes[3].bar(np.arange(len(names)) + number * width, share, width, label=s.name)
    axes[3].set_xticks(np.arange(len(names)) + 0.4 - width / 2, [name.replace("_", "\n") for name in names])
    axes[3].set_ylabel("share of particles")
    return figure


def _grey_levels(images: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return mean and standard deviation over the pixels of all images."""
    pixels, total, squares = 0, 0.0, 0.0
    for image in images:
        levels = image.astype(np.float64)
        pixels, total, squares = pixels + levels.size, total + levels.sum(), squares + (levels**2).sum()
    mean = total / pixels
    return mean, float(np.sqrt(max(squares / pixels - mean**2, 0)))


def _percentile(values: np.ndarray, percentile: float) -> float:
    return float(quantiles(values, (percentile / 100,))[0])


@dataclass(frozen=True, eq=False)
class DetectorLimits:
    """Anchors and caps of a detector."""

    anchors_px: np.ndarray  # (A, 2) widths and heights, in the network's input
    # (A,) distance of neighbouring anchors along rows and columns, in the network's input
    strides_px: np.ndarray
    scale: float  # enlargement of an image for the network's input
    least_overlap: float  # IoU from which the best anchor of a particle is trained on it
    good_overlap: float  # IoU from which every anchor is trained on a particle
    instances: int  # cap on detections per image; no cap if below 1
    proposals: int  # cap on proposals per megapixel of the network's input


def detector_warnings(found: DatasetStatistics, limits: DetectorLimits) -> list[str]:
    """Return what a detector cannot learn or find in a data set with particles, one line each.

    A particle counts as not covered if no anchor on its centre reaches the least IoU.
    """
    name = found.name
    lines = []
    boxes = found.boxes_px * limits.scale
    missed = best_anchor_ious(boxes, limits.anchors_px) < limits.least_overlap
    side = np.sqrt(boxes.prod(axis=1))
    middle = np.sqrt(limits.anchors_px.prod(axis=1))
    for kind, chosen in (
        ("smaller than", missed & (side < middle.min())),
        ("larger than", missed & (side > middle.max())),
        ("longer or flatter than", missed & (side >= middle.min()) & (side <= middle.max())),
    ):
        if chosen.any():
            lines.append(
                f"{name}: {chosen.sum()} particles ({chosen.mean():.2%}) are {kind} any anchor covers "
                f"(sides {side[chosen].min():.0f} to {side[chosen].max():.0f} px at ×{limits.scale:g}, anchors "
                f"{middle.min():.0f} to {middle.max():.0f} px): change base_sizes, ratios or the rescaling"
            )
    most = int(found.particles_per_image.max())
    if 0 < limits.instances < most:
        lines.append(
            f"{name}: {most} particles in an image, but test_cfg.rcnn.max_per_img is {limits.instances}: raise it"
        )
    allowed = [limit_by_area(limits.proposals, shape) for shape in (found.image_shapes * limits.scale).tolist()]
    lacking = int((found.particles_per_image > allowed).sum()) if limits.proposals > 0 else 0
    if lacking:
        lines.append(
            f"{name}: images with more particles than proposals: {lacking}; test_cfg.rpn.max_per_img is "
            f"{limits.proposals} a megapixel of the network's input: raise it"
        )
    return lines


def best_anchor_ious(boxes_px: np.ndarray, anchors_px: np.ndarray) -> np.ndarray:
    """Return the largest IoU (N,) of boxes (N, 2) with anchors (A, 2), widths and heights, on a common centre."""
    common = np.minimum(boxes_px[:, None], anchors_px).prod(axis=2)  # (N, A)
    joint = boxes_px.prod(axis=1)[:, None] + anchors_px.prod(axis=1) - common
    return (common / joint).max(axis=1, initial=0.0)


def good_anchors(boxes_px: np.ndarray, limits: DetectorLimits) -> np.ndarray:
    """Return (N,) numbers of anchors that reach the good IoU with a particle, averaged over the particle's position.

    The centres from which an anchor reaches this IoU fill an area around the particle's centre. The anchor stands once
    in each square of the stride, so on average the area divided by the squared stride is the number of such anchors.

    Args:
        boxes_px: (N, 2) widths and heights in the image.
        limits: the detector's.
    """
    boxes = boxes_px[:, None] * limits.scale  # (N, 1, 2), beside anchors (A, 2)
    share = limits.good_overlap / (1 + limits.good_overlap)  # of the sum of both areas, which must overlap
    good = share * (boxes.prod(2) + limits.anchors_px.prod(1))  # (N, A) px
    reach, most = (boxes + limits.anchors_px) / 2, np.minimum(boxes, limits.anchors_px)  # (N, A, 2)
    area = np.zeros(good.shape)
    for step in (np.arange(OFFSETS) + 0.5) / OFFSETS:  # from a common centre to where the two just touch
        common_width = np.minimum(reach[..., 0] * (1 - step), most[..., 0])
        needed = good / common_width
        area += np.where(needed <= most[..., 1], reach[..., 1] - needed, 0) * reach[..., 0] / OFFSETS
    return (4 * area / limits.strides_px**2).sum(axis=1)


def good_anchors_line(name: str, boxes_px: np.ndarray, limits: DetectorLimits) -> str:
    """Return a line with the mean of `good_anchors` over a data set, and with advice if it is below `ENOUGH`."""
    found = good_anchors(boxes_px, limits).mean() if len(boxes_px) else np.nan
    reached = f"reach IoU {limits.good_overlap:g} with a particle on average (×{limits.scale:g})"
    line = f"{name}: {found:.2f} anchors {reached}"
    advice = ": for a short training put the same base_sizes on finer strides (docs/own-data.md)"
    return line + advice if found < ENOUGH else line
