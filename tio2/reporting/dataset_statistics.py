"""What a data set holds: how many particles of which sizes and states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from semsize.measuring.tables import markdown_table
from semsize.metrology import equivalent_circular_diameter
from semsize.metrology.size_distribution import quantiles
from semsize.structures.pixel_size import PixelSize
from semsize.structures.states import STATES
from tio2.reporting.detector_limits import DetectorLimits

PERCENTILES = (1, 50, 99)


@dataclass(frozen=True, eq=False)
class DatasetStatistics:
    """Figures of one annotation file; regions to ignore are counted and enter nothing else.

    Attributes:
        name: of the file.
        particles_per_image: (I,) int.
        ignored: specks, crowds, regions to ignore.
        ecd_px: (N,) equivalent circular diameters.
        ecd_nm: (N,) likewise, NaN where the image has no pixel size.
        boxes_px: (N, 2) widths and heights.
        states: state, or `unknown`, to count.
        configurations: configuration, or `unknown`, to count of images.
        grey_mean: over all pixels, 0-255; NaN without images.
        grey_std: likewise.
    """

    name: str
    particles_per_image: np.ndarray
    ignored: int
    ecd_px: np.ndarray
    ecd_nm: np.ndarray
    boxes_px: np.ndarray
    states: Counter[str]
    configurations: Counter[str]
    grey_mean: float
    grey_std: float


def dataset_statistics(
    name: str, data: Mapping, read_image: Callable[[str], np.ndarray] | None = None
) -> DatasetStatistics:
    """Figures of an annotation file.

    Args:
        name: of the file.
        data: its contents, with one image at least.
        read_image: from a `file_name` to grey levels (H, W), 0-255; None leaves the grey levels out.
    """
    whole = [particle for particle in data["annotations"] if not particle["iscrowd"]]
    images = {image["id"]: image for image in data["images"]}
    per_image = Counter(particle["image_id"] for particle in whole)
    ecd_px = equivalent_circular_diameter(np.array([particle["area"] for particle in whole], np.float64))
    sizes_nm = [images[particle["image_id"]]["pixel_size_nm"] for particle in whole]
    ecd_nm = [np.nan if nm is None else PixelSize(nm).to_nm(d) for d, nm in zip(ecd_px, sizes_nm, strict=True)]
    mean, std = (np.nan, np.nan) if read_image is None else _grey_levels(map(read_image, _file_names(data)))
    return DatasetStatistics(
        name=name,
        particles_per_image=np.array([per_image[number] for number in images], np.int64),
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
    """A Markdown table with a column an annotation file."""
    rows = [
        ["images", *(len(s.particles_per_image) for s in statistics)],
        ["particles", *(len(s.ecd_px) for s in statistics)],
        ["regions to ignore", *(s.ignored for s in statistics)],
        ["particles an image: least", *(int(s.particles_per_image.min()) for s in statistics)],
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


def draw_statistics(statistics: Sequence[DatasetStatistics], limits: DetectorLimits | None = None) -> Figure:
    """Diameters in pixels, with the anchors' range where `limits` are given, and in nm, particles an image, states."""
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
    if limits is not None:
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


def _file_names(data: Mapping) -> list[str]:
    return [image["file_name"] for image in data["images"]]


def _grey_levels(images: Iterable[np.ndarray]) -> tuple[float, float]:
    """Mean and standard deviation over the pixels of all images."""
    pixels, total, squares = 0, 0.0, 0.0
    for image in images:
        levels = image.astype(np.float64)
        pixels, total, squares = pixels + levels.size, total + levels.sum(), squares + (levels**2).sum()
    if not pixels:
        return np.nan, np.nan
    mean = total / pixels
    return mean, float(np.sqrt(max(squares / pixels - mean**2, 0)))


def _percentile(values: np.ndarray, percentile: float) -> float:
    return float(quantiles(values, (percentile / 100,))[0])
