"""A library of agglomerates: made from annotated images, saved, loaded, summed up in a table and a picture."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tio2.agglomerates.agglomerate import Agglomerate
from tio2.agglomerates.archive import ArchivedAgglomerates, LibraryError, write_archive
from tio2.agglomerates.cutting import cut_dataset


class AgglomerateLibrary(Sequence):
    """Agglomerates to choose from.

    Args:
        agglomerates: in memory, or an ArchivedAgglomerates, which reads them as needed.
        left_out: reason -> number of agglomerates of the images that are not in here.
    """

    def __init__(self, agglomerates: Sequence[Agglomerate], left_out: Mapping[str, int] | None = None):
        self.agglomerates = agglomerates
        self.left_out = dict(left_out or {})

    @classmethod
    def from_coco(cls, ann_file: str | Path, image_folder: str | Path, **options: Any) -> "AgglomerateLibrary":
        """The agglomerates of an annotation file's images; options and errors as in `cut_agglomerates`, `cut_dataset`.

        Raises:
            LibraryError: no agglomerate is left.
        """
        kept, left_out = [], Counter()
        for of_image, reasons in cut_dataset(ann_file, image_folder, **options):
            kept += of_image
            left_out += reasons
        if not kept:
            reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items()) or "it has no particles"
            raise LibraryError(f"{ann_file}: holds no whole agglomerate ({reasons}); take images with particles inside")
        return cls(kept, left_out)

    @classmethod
    def load(cls, path: str | Path) -> "AgglomerateLibrary":
        """A saved library; its agglomerates are read when they are first used.

        Raises:
            LibraryError: the file is missing, damaged, empty or of another kind.
        """
        archived = ArchivedAgglomerates(path)
        if len(archived) == 0:
            raise LibraryError(f"{path}: the library is empty; make one with tools/build_library.py")
        return cls(archived, archived.left_out)

    def save(self, path: str | Path) -> None:
        """Write one compressed file; equal libraries give equal bytes."""
        write_archive(path, self.agglomerates, self.left_out)

    def __len__(self) -> int:
        return len(self.agglomerates)

    def __getitem__(self, number: int) -> Agglomerate:
        return self.agglomerates[number]

    def __iter__(self) -> Iterator[Agglomerate]:
        return iter(self.agglomerates)

    def summary(self) -> dict[str, str]:
        """What is in it, label -> value, in the order of a table."""
        counts = np.array([sum(not p.get("iscrowd") for p in a.particles) for a in self])
        states = Counter(str(p.get("state")) for a in self for p in a.particles if not p.get("iscrowd"))
        sides = np.array([max(a.image.shape) for a in self])
        areas = np.concatenate([a.masks.areas for a in self])
        quartiles = "{:.0f} / {:.0f} / {:.0f} / {:.0f}".format
        table = {
            "source images": str(len({a.source for a in self})),
            "agglomerates": str(len(self)),
            "particles": str(counts.sum()),
            "specks": str(len(areas) - counts.sum()),
            "particles an agglomerate (quartiles, most)": quartiles(*np.percentile(counts, [25, 50, 75, 100])),
            "longer side of a crop, px (quartiles, most)": quartiles(*np.percentile(sides, [25, 50, 75, 100])),
            "area of a mask, px (quartiles, most)": quartiles(*np.percentile(areas, [25, 50, 75, 100])),
        }
        table |= {f"particles of state {state}": str(number) for state, number in sorted(states.items())}
        return table | {f"left out: {reason}": str(number) for reason, number in sorted(self.left_out.items())}

    def contact_sheet(self, width_px: int = 1600, gap_px: int = 4, most: int = 400) -> np.ndarray:
        """Picture (H, W, 3) uint8, BGR, of the first agglomerates, largest first, outlined in yellow, row by row."""
        chosen = sorted(list(self)[:most], key=lambda a: (-a.image.shape[0], -a.image.shape[1]))
        rows: list[list[np.ndarray]] = [[]]
        for tile in map(_outlined, chosen):
            if rows[-1] and sum(t.shape[1] + gap_px for t in rows[-1]) + tile.shape[1] > width_px:
                rows.append([])
            rows[-1].append(tile)
        heights = [max(tile.shape[0] for tile in row) + gap_px for row in rows]
        sheet = np.zeros((sum(heights), max(width_px, *(tile.shape[1] for row in rows for tile in row)), 3), np.uint8)
        for row, top in zip(rows, np.cumsum([0, *heights[:-1]]), strict=True):
            left = 0
            for tile in row:
                sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
                left += tile.shape[1] + gap_px
        return sheet


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _outlined(agglomerate: Agglomerate) -> np.ndarray:
    picture = cv2.cvtColor(np.rint(agglomerate.image).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    for crop, (row, column) in agglomerate.masks:
        contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(column, row))
        cv2.drawContours(picture, contours, -1, (0, 220, 255), 1)
    return picture
