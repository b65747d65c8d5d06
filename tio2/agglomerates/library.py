"""A library of agglomerates cut out of annotated images: one file, summarised as a table and a contact sheet.

The file is a zip archive: `index.json`, and for agglomerate i `<i>.png` (grey levels, 8 or 16 bits) and `<i>.json`
(masks as RLE, annotations). Equal libraries give equal bytes.
"""

import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semsize.metrology.size_distribution import quantiles
from semsize.sem.image_sets import outlined_images
from semsize.structures.files import whole_file
from semsize.structures.masks import CroppedMasks
from tio2.agglomerates.agglomerate import JOIN_PX, MARGIN_PX, Agglomerate, cut_agglomerates

FORMAT = "agglomerates 1"
_STEPS_16_BIT = 257  # 65535 / 255: steps of a 16-bit PNG per grey level
_CACHED = 4096


class LibraryError(ValueError):
    """A library or a folder of backgrounds that is missing, damaged, empty or of another kind; the message names it."""


class AgglomerateLibrary(Sequence):
    """A sequence of agglomerates to draw from.

    Args:
        agglomerates: a list in memory, or the agglomerates of a file, which are read as needed.
        left_out: reason to number of the images' agglomerates that were left out.
    """

    def __init__(self, agglomerates: Sequence[Agglomerate], left_out: Mapping[str, int] | None = None):
        self.agglomerates = agglomerates
        self.left_out = dict(left_out or {})

    @classmethod
    def from_coco(
        cls, ann_file: Path, images: Path, join_px: float = JOIN_PX, margin_px: int = MARGIN_PX, data_bar_px: int = 0
    ) -> "AgglomerateLibrary":
        """Cut a library out of an annotation file's images (`cut_agglomerates`); `outlined_images` lists other errors.

        Raises:
            LibraryError: no agglomerate can be cut out.
        """
        kept, left_out = [], Counter()
        for record, image, masks, particles in outlined_images(ann_file, images):
            of_image, reasons = cut_agglomerates(image, masks, particles, record, join_px, margin_px, data_bar_px)
            kept += of_image
            left_out += reasons
        if not kept:
            reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items()) or "it has no particles"
            raise LibraryError(f"{ann_file}: holds no whole agglomerate ({reasons}); take images with particles inside")
        return cls(kept, left_out)

    @classmethod
    def load(cls, path: str | Path) -> "AgglomerateLibrary":
        """Open a saved library; its agglomerates are read when they are first used.

        Raises:
            LibraryError: the file is missing, damaged, empty or of another kind.
        """
        saved = _SavedAgglomerates(path)
        if len(saved) == 0:
            raise LibraryError(f"{path}: the library is empty; make one with tools/build_library.py")
        return cls(saved, saved.left_out)

    def save(self, path: str | Path) -> None:
        """Write one compressed file; grey levels that are not whole numbers are rounded to 1/257 of a level."""

        def write(part: Path) -> None:
            with zipfile.ZipFile(part, "w") as archive:
                for name, content in self._members():  # ZipInfo has a constant date, so equal content gives equal bytes
                    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

        whole_file(path, write)

    def _members(self) -> Iterator[tuple[str, bytes]]:
        index = {"format": FORMAT, "agglomerates": len(self), "left_out": dict(sorted(self.left_out.items()))}
        yield "index.json", _json(index)
        for number, agglomerate in enumerate(self):
            record = {
                "source": agglomerate.source,
                "pixel_size_nm": agglomerate.pixel_size_nm,
                "masks": agglomerate.masks.to_rles(),
                "particles": [dict(particle) for particle in agglomerate.particles],
            }
            yield f"{number:06d}.png", encode_grey(agglomerate.image)
            yield f"{number:06d}.json", _json(record)

    def __len__(self) -> int:
        return len(self.agglomerates)

    def __getitem__(self, number: int) -> Agglomerate:
        return self.agglomerates[number]

    def summary(self) -> dict[str, str]:
        """The library's contents as label to value, in the order of a table."""
        counts = np.array([sum(not p.get("iscrowd") for p in a.particles) for a in self])
        states = Counter(str(p.get("state")) for a in self for p in a.particles if not p.get("iscrowd"))
        areas = np.concatenate([a.masks.areas for a in self])
        table = {
            "source images": str(len({a.source for a in self})),
            "agglomerates": str(len(self)),
            "particles": str(counts.sum()),
            "specks": str(len(areas) - counts.sum()),
            "particles an agglomerate (quartiles, most)": _quartiles(counts),
            "longer side of a crop, px (quartiles, most)": _quartiles(np.array([max(a.image.shape) for a in self])),
            "area of a mask, px (quartiles, most)": _quartiles(areas),
        }
        table |= {f"particles of state {state}": str(number) for state, number in sorted(states.items())}
        return table | {f"left out: {reason}": str(number) for reason, number in sorted(self.left_out.items())}

    def contact_sheet(self, width_px: int = 1600, gap_px: int = 4, most: int = 400) -> np.ndarray:
        """Picture (H, W, 3) uint8, BGR, of the first `most` agglomerates, the tallest first, outlined in yellow."""
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


class _SavedAgglomerates(Sequence):
    """Agglomerates of a file, read when first used, up to _CACHED kept in memory; processes may share an instance."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._process, self._archive = None, None
        self._cache: dict[int, Agglomerate] = {}
        index = json.loads(self._read("index.json"))
        if index.get("format") != FORMAT:
            raise LibraryError(f"{self.path}: not an agglomerate library; make one with tools/build_library.py")
        self.left_out: dict[str, int] = index["left_out"]
        self._length: int = index["agglomerates"]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Agglomerate:
        if not 0 <= number < len(self):
            raise IndexError(f"{self.path}: no agglomerate {number} among {len(self)}")
        if number not in self._cache:
            if len(self._cache) >= _CACHED:
                self._cache.pop(next(iter(self._cache)))
            record = json.loads(self._read(f"{number:06d}.json"))
            image = decode_grey(self._read(f"{number:06d}.png"))
            masks = CroppedMasks.from_rles(record["masks"], image.shape)
            known = tuple(record["particles"])
            self._cache[number] = Agglomerate(image, masks, known, record["source"], record["pixel_size_nm"])
        return self._cache[number]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": None, "_archive": None, "_cache": {}}

    def _read(self, name: str) -> bytes:
        try:
            if self._process != os.getpid():
                self._archive, self._process = zipfile.ZipFile(self.path), os.getpid()
            return self._archive.read(name)
        except OSError as cause:
            raise LibraryError(f"{self.path}: cannot be read ({cause.strerror}); check the path") from None
        except (zipfile.BadZipFile, KeyError):
            raise LibraryError(
                f"{self.path}: damaged or not an agglomerate library; make one with tools/build_library.py"
            ) from None


def encode_grey(image: np.ndarray) -> bytes:
    """Encode grey levels 0-255 as a PNG: 8 bits if all are whole numbers, else 16."""
    whole = np.rint(image)
    exact = np.array_equal(whole, image)
    levels = whole.astype(np.uint8) if exact else np.rint(image * np.float32(_STEPS_16_BIT)).astype(np.uint16)
    return cv2.imencode(".png", levels)[1].tobytes()


def decode_grey(data: bytes) -> np.ndarray:
    """Decode grey levels (h, w) float32, 0-255, that `encode_grey` wrote."""
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return levels.astype(np.float32) / np.float32(1 if levels.dtype == np.uint8 else _STEPS_16_BIT)


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()


def _quartiles(values: np.ndarray) -> str:
    """The 25, 50, 75 and 100 % quantiles."""
    return " / ".join(f"{value:.0f}" for value in quantiles(values, (0.25, 0.5, 0.75, 1)))


def _outlined(agglomerate: Agglomerate) -> np.ndarray:
    picture = cv2.cvtColor(np.rint(agglomerate.image).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    for crop, (row, column) in agglomerate.masks:
        contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(column, row))
        cv2.drawContours(picture, contours, -1, (0, 220, 255), 1)
    return picture
