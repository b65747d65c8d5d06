"""Agglomerates in one compressed file, read one by one as they are needed.

A zip archive: `index.json`, and for agglomerate i `<i>.png` (grey levels, 8 or 16 bits) and `<i>.json` (masks as RLE,
annotations). Equal agglomerates give equal bytes.
"""

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semsize.structures.masks import CroppedMasks
from tio2.agglomerates.agglomerate import Agglomerate

FORMAT = "agglomerates 1"
_STEPS_16_BIT = 257  # 65535 / 255: what 8-bit grey levels become in a 16-bit PNG
_CACHED = 4096


class LibraryError(ValueError):
    """A library that is missing, damaged, empty or of another kind; the message names the file."""


def write_archive(path: str | Path, agglomerates: Sequence[Agglomerate], left_out: Mapping[str, int]) -> None:
    """Write beside the path and rename: what stands there is whole.

    Grey levels that are whole numbers are kept as they are, others to 1/257 of a level.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    index = {"format": FORMAT, "agglomerates": len(agglomerates), "left_out": dict(sorted(left_out.items()))}
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "index.json", _json(index))
            for number, agglomerate in enumerate(agglomerates):
                _add(archive, f"{number:06d}.png", encode_grey(agglomerate.image))
                _add(archive, f"{number:06d}.json", _json(_record(agglomerate)))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class ArchivedAgglomerates(Sequence):
    """The agglomerates of a file; each is read when it is first asked for and then kept, up to a number of them.

    Each process opens the file for itself, so that data workers may share the object.

    Raises:
        LibraryError: the file is missing, damaged or of another kind.
    """

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
            self._cache[number] = self._load(number)
        return self._cache[number]

    def __iter__(self) -> Iterator[Agglomerate]:
        return (self[number] for number in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": None, "_archive": None, "_cache": {}}

    def _load(self, number: int) -> Agglomerate:
        record = json.loads(self._read(f"{number:06d}.json"))
        image = decode_grey(self._read(f"{number:06d}.png"))
        masks = CroppedMasks.from_rles(record["masks"], image.shape)
        return Agglomerate(image, masks, tuple(record["particles"]), record["source"], record["pixel_size_nm"])

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
    """PNG of grey levels 0-255: 8 bits where they are whole numbers, else 16."""
    whole = np.rint(image)
    exact = np.array_equal(whole, image)
    levels = whole.astype(np.uint8) if exact else np.rint(image * np.float32(_STEPS_16_BIT)).astype(np.uint16)
    return cv2.imencode(".png", levels)[1].tobytes()


def decode_grey(data: bytes) -> np.ndarray:
    """Grey levels (h, w) float32, 0-255, of what `encode_grey` wrote."""
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return levels.astype(np.float32) / np.float32(1 if levels.dtype == np.uint8 else _STEPS_16_BIT)


def _record(agglomerate: Agglomerate) -> dict[str, Any]:
    return {
        "source": agglomerate.source,
        "pixel_size_nm": agglomerate.pixel_size_nm,
        "masks": agglomerate.masks.to_rles(),
        "particles": [dict(particle) for particle in agglomerate.particles],
    }


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # ZipInfo's own date is a constant


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
