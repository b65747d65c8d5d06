"""What annotations call their pictures: names from any tool and system, made comparable with paths of files."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import unquote

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Stated:
    """What a source says of its picture.

    Attributes:
        text: as the source writes it, for messages.
        spellings: absolute paths that it can mean, in parts, the likeliest first; and how many parts at the end of each
            the source itself states, the others being the folder that they are looked for from.
        beside: the source is of this picture alone (a LabelMe file, a ROI set, a label image): where its own folder
            holds pictures, but not this one, no other folder's is taken.
        endless: the name lacks the picture's ending.
        on_disk: a file that the path leads to, and that is not among the pictures given, is another picture.
        byte_size: of the picture's file; None where the source does not say.
        own: the stating file, where it is an image itself, and so is no candidate.
    """

    text: str
    spellings: tuple[tuple[Parts, int], ...]
    beside: bool = False
    endless: bool = False
    on_disk: bool = True
    byte_size: int | None = None
    own: Path | None = None

    @classmethod
    def in_text(
        cls, text: str, folder: Path, root: Path | None = None, *, beside: bool = False, byte_size: int | None = None
    ) -> Self:
        """A name written by any tool in a file that lies in `folder`; folders from `root` on count as stated.

        Backslashes part folders, `%20` may stand for a blank, and what a URL or its query puts in front is cut off.
        """
        plain = re.sub(r"^[A-Za-z][\w+.-]+://[^/]*", "", text.strip().rpartition("?d=")[2])
        spellings = {}
        for reading in (plain.replace("\\", "/"), unquote(plain).replace("\\", "/"), plain):
            parts = PurePosixPath(reading).parts
            absolute = bool(parts) and (parts[0] == "/" or re.fullmatch("[A-Za-z]:", parts[0]) is not None)
            depth = len(parts) if absolute or ".." not in parts else parts[::-1].index("..")
            depth += 0 if root is None or absolute or ".." in parts else len(folder.relative_to(root).parts)
            spellings.setdefault(normal(parts if absolute else (*parts_of(folder), *parts)), depth)
        return cls(text, tuple(spellings.items()), beside=beside, byte_size=byte_size)

    @classmethod
    def of_file(cls, path: Path, root: Path, names: Sequence[str], *, on_disk: bool) -> Self:
        """A file below `root` that belongs to the one picture called like it, by one of `names`."""
        folder = Path(os.path.abspath(path.parent)).relative_to(os.path.abspath(root)).parts
        spellings = tuple(((*parts_of(root), *folder, name), len(folder) + 1) for name in dict.fromkeys(names))
        text = Path(*folder, path.name).as_posix()
        return cls(text, spellings, beside=True, endless=True, on_disk=on_disk, own=path)


def parts_of(path: Path) -> Parts:
    """Parts of a file's absolute path."""
    return Path(os.path.abspath(path)).parts


def normal(parts: Iterable[str]) -> Parts:
    """Parts of a path without `.` and `..`."""
    kept: list[str] = []
    for part in parts:
        if part == "..":
            del kept[max(len(kept) - 1, 1) :]
        elif part not in ("", "."):
            kept.append(part)
    return tuple(kept)


def fold(part: str) -> str:
    """A name as it is compared: characters composed, no case, bytes that are no text written as `ImageFile` does."""
    text = part.encode("utf-8", "backslashreplace").decode()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def folded(parts: Iterable[str]) -> Parts:
    """Parts of a path as they are compared."""
    return tuple(map(fold, parts))
