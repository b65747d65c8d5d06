"""What the readers of all formats give for each image: shapes, labels, the picture's name, and what was wrong."""

import contextlib
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import unquote

from semsize.exchange.shapes import Shape
from semsize.structures.polygons import ShapeError

IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
LONGEST_NAME = 200  # bytes of a file name made here: file systems take 255, and endings and marks are added to it
MALFORMED = "not in the form of their format"
_ODD_JSON = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError)

Parts = tuple[str, ...]  # of a path


class ExchangeError(ValueError):
    """Annotations cannot be read at all; the message names the file and says what to do, in one line."""


@dataclass(frozen=True, eq=False)
class SourceParticle:
    """A particle as a source annotates it."""

    name: str  # how to find it in the source, such as "region 3"
    shapes: tuple[Shape, ...]  # its parts, joined when they become pixels
    label: str | None = None  # what the source calls its state or class; None where it says nothing
    is_crowd: bool = False  # the source marks a region to ignore


@dataclass(eq=False)
class SourceImage:
    """One annotated image; None stands for what the source does not say."""

    path: Path | None  # the image file; None where it was not found, or is not certain
    name: str  # what the source calls it
    particles: list[SourceParticle] = field(default_factory=list)
    size: tuple[int, int] | None = None  # (H, W) that the annotations were drawn on
    pixel_size_nm: float | None = None
    configuration: str | None = None  # one of `CONFIGURATIONS`
    trouble: str | None = None  # why its outlines must not be used, in a clause; None where nothing speaks against it
    candidates: tuple[Path, ...] = ()  # image files that the outlines may be of, where `path` is None
    unread: list[str] = field(default_factory=list)  # of each annotation that could not be read, why


class Account:
    """What was odd in a source: which kind of trouble, and where; printed in the order in which kinds first occur."""

    def __init__(self):
        self.places: dict[str, list[str]] = {}

    def note(self, kind: str, place: str) -> None:
        """Count one `place` (a file, or "file: region 3") under `kind`, which also says what is done about it."""
        self.places.setdefault(_printable(kind), []).append(_printable(place))

    def leave_out(self, image: SourceImage, reason: str, place: str, detail: str = "") -> None:
        """Count an annotation of `image` that is left out for a reason that goes on from "annotations left out, "."""
        image.unread.append(f"they are {reason}" if reason == MALFORMED else reason)
        self.note(f"annotations left out, {reason}", f"{place}{detail}")

    def leave_out_without_area(self, image: SourceImage, kind: str, place: str) -> None:
        """Count an annotation of `image` that is left out since its kind, such as a line, has no area."""
        image.unread.append("they have no area")
        self.note(f"annotations left out, a {kind} has no area", place)

    @contextlib.contextmanager
    def tolerate(
        self, place: str, image: SourceImage, malformed: tuple[type[Exception], ...] = _ODD_JSON
    ) -> Iterator[None]:
        """Leave out the annotation of `image` that is read in the body if it is malformed, and count it.

        `malformed` are the errors besides `ShapeError` by which a reader's code meets what is not in its format.
        """
        try:
            yield
        except ShapeError as error:
            self.leave_out(image, str(error), place)
        except malformed as error:
            self.leave_out(image, MALFORMED, place, f" ({error!r})")

    def lines(self, limit: int | None = None) -> Iterator[str]:
        """One line a kind, naming its places, at most `limit` of them."""
        for kind, places in self.places.items():
            shown = places[:limit]
            more = "" if len(shown) == len(places) else f" and {len(places) - len(shown)} more"
            yield f"{len(places)} × {kind}: {', '.join(shown)}{more}"


def grouped_particles(
    entries: Sequence[Any],
    kind: str,
    read: Callable[[Any], tuple[Shape | None, str, Any, Any]],
    image: SourceImage,
    account: Account,
) -> list[SourceParticle]:
    """Particles of an image's entries, each a shape; shapes of one group are one particle.

    `read` takes an entry to its shape (None where it has no area), the shape's kind, its label and its group. `kind` is
    what the format calls an entry, such as "region"; they are numbered from 1. What cannot be read is noted.
    """
    groups: dict[Any, list[SourceParticle]] = {}
    for number, entry in enumerate(entries, start=1):
        name = f"{kind} {number}"
        with account.tolerate(f"{image.name}: {name}", image):
            shape, shape_kind, label, group = read(entry)
            if shape is None:
                account.leave_out_without_area(image, shape_kind, f"{image.name}: {name}")
                continue
            part = SourceParticle(name, (shape,), None if label in (None, "") else str(label))
            groups.setdefault(name if group is None else ("group", group), []).append(part)
    return [
        SourceParticle(parts[0].name, sum((part.shapes for part in parts), ()), parts[0].label)
        for parts in groups.values()
    ]


def stated_size(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W) as a source states it, in numbers or as text; None where it does not."""
    try:
        sides = float(str(height)), float(str(width))
    except ValueError:
        return None
    return (int(sides[0]), int(sides[1])) if all(side > 0 and side.is_integer() for side in sides) else None


@dataclass(frozen=True)
class Stated:
    """The name that a source states of its picture, and what the name may mean."""

    text: str  # as the source writes it, for messages
    # absolute paths that it can mean, in parts, the likeliest first; and how many parts at the end of each the source
    # itself states, the others being the folder from which the picture is looked for
    spellings: tuple[tuple[Parts, int], ...]
    # the source is of this picture alone (a LabelMe file, a ROI set, a label image): where its own folder holds
    # pictures, but not this one, no other folder's is taken
    beside: bool = False
    endless: bool = False  # the name lacks the picture's ending
    on_disk: bool = True  # a file that the path leads to, and that is not among the pictures given, is another picture
    byte_size: int | None = None  # of the picture's file; None where the source does not say
    own: Path | None = None  # the stating file, where it is an image itself, and so is no candidate

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
            spellings.setdefault(_without_dots(parts if absolute else (*parts_of(folder), *parts)), depth)
        return cls(text, tuple(spellings.items()), beside=beside, byte_size=byte_size)

    @classmethod
    def of_file(cls, path: Path, root: Path, names: Sequence[str], *, on_disk: bool) -> Self:
        """A file below `root` that belongs to the one picture called like it, by one of `names`."""
        folder = Path(os.path.abspath(path.parent)).relative_to(os.path.abspath(root)).parts
        spellings = tuple(((*parts_of(root), *folder, name), len(folder) + 1) for name in dict.fromkeys(names))
        text = Path(*folder, path.name).as_posix()
        return cls(text, spellings, beside=True, endless=True, on_disk=on_disk, own=path)


def parts_of(path: Path) -> Parts:
    """The parts of a file's absolute path."""
    return Path(os.path.abspath(path)).parts


def _without_dots(parts: Iterable[str]) -> Parts:
    """Parts of a path without `.` and `..`."""
    kept: list[str] = []
    for part in parts:
        if part == "..":
            del kept[max(len(kept) - 1, 1) :]
        elif part not in ("", "."):
            kept.append(part)
    return tuple(kept)


def fold(part: str) -> str:
    """A name as it is compared: characters composed, no case, bytes that are no text spelt out as they are printed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", _spelt_out(part)).casefold())


def folded(parts: Iterable[str]) -> Parts:
    """Parts of a path as they are compared."""
    return tuple(map(fold, parts))


def short_name(name: str) -> str:
    """A file name that leaves room for an ending on every file system: as it is, or its beginning and a hash of it."""
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= LONGEST_NAME:
        return name
    return f"{data[: LONGEST_NAME - 13].decode('utf-8', 'ignore')}~{hashlib.sha256(data).hexdigest()[:12]}"


def files_below(folder: Path, endings: Sequence[str], leave_out: Sequence[Path] = ()) -> list[Path]:
    """Files of these endings, in any case, at any depth, sorted, but not those in the folders `leave_out`.

    Hidden files and what macOS adds do not count.
    """
    apart = [Path(os.path.abspath(other)) for other in leave_out]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in endings
        and not path.name.startswith(".")
        and "__MACOSX" not in path.parts
        and not any(Path(os.path.abspath(path)).is_relative_to(other) for other in apart)
    ]


def _spelt_out(text: str) -> str:
    """A text in which the bytes of a file name that are no text are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _printable(text: str) -> str:
    """A text from a file in one line, bytes that are no text spelt out."""
    return "".join(letter if letter.isprintable() else " " for letter in _spelt_out(text))
