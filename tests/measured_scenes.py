"""Image files of bright disks on dark ground, and a source that finds their outlines in place of a network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from scenes import disks
from semsize.measuring.outlines import Outlines
from semsize.structures.masks import CroppedMasks

CENTRES = [(40, 40), (40, 110), (95, 60), (90, 150), (30, 178), (117, 100)]
RADII = [9.0, 12.0, 15.0, 7.0, 10.0, 2.2]
SHAPE = (128, 200)


@dataclass(frozen=True)
class BrightSource:
    """Finds regions brighter than half; logs the images that it was given."""

    log: Path | None = None

    def open(self, processes: int):  # noqa: ARG002 - the interface of a source
        return self.outlines

    def outlines(self, frame) -> Outlines:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write(f"{frame.file.name}\n")
        labels = cv2.connectedComponents((frame.grey > 128).astype(np.uint8), connectivity=4)[1]
        masks = CroppedMasks.from_label_image(labels)
        scores = np.linspace(0.95, 0.9, len(masks)).astype(np.float32)
        return Outlines(masks, scores, masks.boxes, (None,) * len(masks))

    def as_record(self) -> dict:
        return {"kind": "bright disks", "path": "none", "sha256": "0"}


@dataclass(frozen=True)
class DoubtfulSource(BrightSource):
    """Finds the same outlines, every second one with a score of 0.1."""

    def outlines(self, frame) -> Outlines:
        found = super().outlines(frame)
        scores = np.where(np.arange(len(found.masks)) % 2, 0.1, found.scores).astype(np.float32)
        return dataclasses.replace(found, scores=scores)


def scene(seed: int = 0) -> np.ndarray:
    """(128, 200) uint8: six disks, one touching the right border, one tiny; the seed moves and scales them."""
    rng = np.random.default_rng(seed)
    radii = np.array(RADII) * rng.uniform(0.9, 1.1, len(RADII))
    radii[4] = 24  # at the border
    masks = disks(SHAPE, CENTRES, radii)
    grey = np.full(SHAPE, 40, np.uint8)
    for crop, (row, column) in masks:
        grey[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = 200
    return grey


def write_zeiss(path: Path, grey: np.ndarray, pixel_size_nm: float | None = 5.0, more: str = "") -> Path:
    """Write a TIFF with the text tag of Zeiss' instruments, or without it."""
    text = f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {pixel_size_nm} nm\r\n{more}".encode("cp1252")
    tags = [] if pixel_size_nm is None else [(34118, 2, len(text) + 1, text + b"\0", True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, grey, photometric="minisblack", metadata=None, extratags=tags)
    return path


def write_scenes(folder: Path, count: int, pixel_size_nm: float | None = 5.0) -> list[Path]:
    """Write TIFFs of scenes 0, 1 …"""
    return [write_zeiss(folder / f"scan {n}.tif", scene(n), pixel_size_nm) for n in range(count)]


def measured_doubtfully(folder: Path) -> Path:
    """Measure the images of `scans` in the folder into its `out` by a `DoubtfulSource`, without figures; return it."""
    from semsize.measuring import measure_images, report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "size_figures", lambda _: {})
        measure_images([folder / "scans"], folder / "out", DoubtfulSource())
    return folder
