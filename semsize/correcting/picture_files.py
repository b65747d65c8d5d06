"""Finds the image files of a measurement by their SHA-256, below folders that the user named and nowhere else."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from semsize.correcting.shapes import CorrectionError
from semsize.structures.files import file_sha256

MOST_SEARCHED = 20_000
"""Most files and folders that one search looks at."""

MOST_HASHED_BYTES = 2**30
"""Bytes after which a search stops; the next one goes on, since the SHA-256 of an unchanged file is kept."""

LISTING_KEPT_S = 10.0
"""How long the list of files below the folders is reused."""


class PictureFiles:
    """The image files below some folders, the roots; links are not followed, hidden files not listed."""

    def __init__(self, results: Path, roots: Sequence[Path]):
        """Keep the folders; no file is read before an image is asked for.

        Args:
            results: folder of the results, in which no image is searched for.
            roots: folders below which image files may lie; none is found without them.
        """
        self.roots, self._results = list(roots), Path(os.path.abspath(results))
        self._listed: tuple[float, list[Path]] = (-LISTING_KEPT_S, [])
        self._digests: dict[tuple[Path, int, int], str] = {}  # of a file, its size and time

    def find(self, stated: Path, name: str, sha256: str) -> Path:
        """The file with a SHA-256, as an absolute path.

        The search goes through the record's path (a relative one from the present folder, the results and the folders
        above them), the image's name in each root, then all files below the roots with its file name, and with its
        ending.

        Args:
            stated: its path by the record.
            name: of the image in the record, which may hold folders.
            sha256: of its contents, in hex.

        Raises:
            CorrectionError: no file has these contents, though one may have the name.
        """
        left, file_name, is_another, unreadable = MOST_HASHED_BYTES, Path(name).name, False, None
        for path in self._allowed(self._candidates(stated, name)):
            digest, read_bytes = self._digest(path)
            if digest == sha256:
                return path
            if path.name == file_name:
                is_another, unreadable = is_another or digest is not None, path if digest is None else unreadable
            left -= read_bytes
            if left < 0:
                break
        if is_another:
            raise CorrectionError(f"{name}: its file is another than was measured; bring it back, or measure again")
        if unreadable is not None:
            raise CorrectionError(f"{name}: {unreadable} cannot be read; check its permissions")
        is_whole = left >= 0 and len(self._listing()) < MOST_SEARCHED
        where = f"{'' if is_whole else 'among the first files '}below the folders given"
        raise CorrectionError(
            f"{name}: not found {where} ({', '.join(map(str, self.roots))}); name its folder with --images"
        )

    def _candidates(self, stated: Path, name: str) -> Iterator[Path]:
        above = () if stated.is_absolute() else (self._results, *self._results.parents)
        yield from (stated, *(folder / stated for folder in above), *(root / name for root in self.roots))
        listed, file_name, ending = self._listing(), Path(name).name, Path(name).suffix.lower()
        yield from (path for path in listed if path.name == file_name)
        yield from (path for path in listed if ending and path.suffix.lower() == ending)

    def _digest(self, path: Path) -> tuple[str | None, int]:
        """SHA-256 of a file, None where it cannot be read, and the bytes that were read now."""
        try:
            stat = path.stat()
            if (key := (path, stat.st_size, stat.st_mtime_ns)) in self._digests:
                return self._digests[key], 0
            self._digests[key] = file_sha256(path)
        except OSError:
            return None, 0
        return self._digests[key], stat.st_size

    def _allowed(self, paths: Iterator[Path]) -> Iterator[Path]:
        """The paths of plain files below a root, reached without a link from there on; absolute, each once."""
        seen = set()
        for path in paths:
            absolute = Path(os.path.abspath(path))
            if absolute not in seen and any(_is_below(absolute, root) for root in self.roots):
                yield absolute
            seen.add(absolute)

    def _listing(self) -> list[Path]:
        """Files and folders below the roots, the nearest first, at most `MOST_SEARCHED`."""
        if time.monotonic() - self._listed[0] > LISTING_KEPT_S:
            self._listed = time.monotonic(), self._walk()
        return self._listed[1]

    def _walk(self) -> list[Path]:
        folders, found = deque(dict.fromkeys(Path(os.path.abspath(root)) for root in self.roots)), []
        seen = {*folders, self._results}
        while folders and len(found) < MOST_SEARCHED:
            try:
                entries = sorted(islice(os.scandir(folders.popleft()), MOST_SEARCHED), key=lambda entry: entry.name)
            except OSError:  # not allowed, or gone
                continue
            for entry in entries:
                if entry.name.startswith(".") or entry.is_symlink():
                    continue
                path = Path(entry.path)
                found.append(path)
                if entry.is_dir(follow_symlinks=False) and path not in seen:
                    seen.add(path)
                    folders.append(path)
        return found[:MOST_SEARCHED]


def _is_below(absolute: Path, root: Path) -> bool:
    """Whether a path is a plain file below a folder, reached without a link from there on."""
    base = Path(os.path.abspath(root))
    if not absolute.is_relative_to(base):
        return False
    real = Path(os.path.realpath(base)) / absolute.relative_to(base)
    return Path(os.path.realpath(absolute)) == real and real.is_file()
