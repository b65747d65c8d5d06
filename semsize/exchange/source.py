"""What the readers of all formats yield for an image: shapes, labels, the stated name, and faults of the source."""

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
LONGEST_NAME = 200  # bytes of a new file name: file systems take 255, and endings and marks are added to the name
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
    is_crowd: bool = False  # the source marks it as a region to ignore


@dataclass(eq=False)
class SourceImage:
    """One annotated image; a field is None if the source does not state it."""

    path: Path | None  # the image file; None if it was not found or is not certain
    name: str  # what the source calls it
    particles: list[SourceParticle] = field(default_factory=list)
    size: tuple[int, int] | None = None  # (H, W) that the annotations were drawn on
    pixel_size_nm: float | None = None
    configuration: str | None = None  # one of `CONFIGURATIONS`
    trouble: str | None = None  # why its outlines must not be used, as a clause; None if they may
    candidates: tuple[Path, ...] = ()  # image files that the outlines may belong to, if `path` is None
    unread: list[str] = field(default_factory=list)  # why each annotation that is left out could not be read


class Account:
    """The faults of a source: places by kind of fault, in the order in which the kinds first occur."""

    def __init__(self):
        self.faults: dict[str, list[str]] = {}

    def note(self, kind: str, place: str) -> None:
        """Note a `place` (a file, or "file: region 3") under `kind`, which says what is wrong and what is done."""
        self.faults.setdefault(_printable(kind), []).append(_printable(place))

    def leave_out(self, image: SourceImage, reason: str, place: str, detail: str = "") -> None:
        """Note an annotation of `image` that is left out; `reason` continues "annotations left out, "."""
        image.unread.append(f"they are {reason}" if reason == MALFORMED else reason)
        self.note(f"annotations left out, {reason}", f"{place}{detail}")

    def leave_out_without_area(self, image: SourceImage, kind: str, place: str) -> None:
        """Note an annotation of `image` that is left out because its kind, such as a line, has no area."""
        image.unread.append("they have no area")
        self.note(f"annotations left out, a {kind} has no area", place)

    @contextlib.contextmanager
    def tolerate(
        self, place: str, image: SourceImage, malformed: tuple[type[Exception], ...] = _ODD_JSON
    ) -> Iterator[None]:
        """Leave out and note the annotation of `image` that the body reads, if the body raises an error.

        Besides `ShapeError`, `malformed` are the errors that a reader raises on data that are not in its format.
        """
        try:
            yield
        except ShapeError as error:
            self.leave_out(image, str(error), place)
        except malformed as error:
            self.leave_out(image, MALFORMED, place, f" ({error!r})")

    def lines(self, limit: int | None = None) -> Iterator[str]:
        """Yield one line per kind, with the names of at most `limit` of the places."""
        for kind, where in self.faults.items():
            shown = where[:limit]
            more = "" if len(shown) == len(where) else f" and {len(where) - len(shown)} more"
            yield f"{len(where)} × {kind}: {', '.join(shown)}{more}"


def grouped_particles(
    entries: Sequence[Any],
    kind: str,
    read: Callable[[Any], tuple[Shape | None, str, Any, Any]],
    image: SourceImage,
    account: Account,
) -> list[SourceParticle]:
    """Return the particles of an image's entries, each of which is a shape; the shapes of a group are one particle.

    `read` returns the shape of an entry (None if it has no area), the shape's kind, label and group. `kind` is the
    format's word for an entry, such as "region"; entries are numbered from 1. Entries that cannot be read are noted; a
    group with different labels gets none and is noted too.
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
    particles = []
    for parts in groups.values():
        labels = {part.label for part in parts} - {None}
        if len(labels) > 1:
            account.note(
                "particles whose parts have different labels, taken without a label", f"{image.name}: {parts[0].name}"
            )
        label = labels.pop() if len(labels) == 1 else None
        particles.append(SourceParticle(parts[0].name, sum((part.shapes for part in parts), ()), label))
    return particles


def stated_size(height: Any, width: Any) -> tuple[int, int] | None:
    """Return (H, W) as a source states it, in numbers or as text; None unless both are positive whole numbers."""
    try:
        sides = float(str(height)), float(str(width))
    except ValueError:
        return None
    return (int(sides[0]), int(sides[1])) if all(side > 0 and side.is_integer() for side in sides) else None


@dataclass(frozen=True)
class Stated:
    """The name that a source states for its image, and the paths that the name may mean."""

    text: str  # as the source writes it, for messages
    # absolute paths that the name can mean, in parts, the likeliest first; and the number of parts at the end of each
    # that the source states. The parts before are the folder from which the image is looked for.
    spellings: tuple[tuple[Parts, int], ...]
    # the source belongs to this image alone (a LabelMe file, a ROI set, a label image): if the folder of the source
    # holds images, but not this one, an image in another folder is not taken
    beside: bool = False
    endless: bool = False  # the name lacks the image's ending
    on_disk: bool = True  # if the path leads to a file that is not among the given images, the name means that file
    byte_size: int | None = None  # of the image file; None if the source does not state it
    own: Path | None = None  # the stating file, which is no candidate even if it is one of the images

    @classmethod
    def in_text(
        cls, text: str, folder: Path, root: Path | None = None, *, beside: bool = False, byte_size: int | None = None
    ) -> Self:
        """Interpret a name that a tool wrote in a file in `folder`; the folders below `root` count as stated.

        Backslashes may separate folders, `%20` may stand for a blank, and a URL's host or all up to `?d=` is cut off.
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
        """Interpret a file below `root` as the name of the one image to which it belongs, which has one of `names`."""
        folder = Path(os.path.abspath(path.parent)).relative_to(os.path.abspath(root)).parts
        spellings = tuple(((*parts_of(root), *folder, name), len(folder) + 1) for name in dict.fromkeys(names))
        text = Path(*folder, path.name).as_posix()
        return cls(text, spellings, beside=True, endless=True, on_disk=on_disk, own=path)


def parts_of(path: Path) -> Parts:
    """Return the parts of a file's absolute path."""
    return Path(os.path.abspath(path)).parts


def _without_dots(parts: Iterable[str]) -> Parts:
    """Resolve `.` and `..` in the parts of a path."""
    kept: list[str] = []
    for part in parts:
        if part == "..":
            del kept[max(len(kept) - 1, 1) :]
        elif part not in ("", "."):
            kept.append(part)
    return tuple(kept)


def fold(part: str) -> str:
    """Normalise a name for comparison: composed characters, no case, undecodable bytes spelt out as in messages."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", _spelt_out(part)).casefold())


def folded(parts: Iterable[str]) -> Parts:
    """Normalise the parts of a path for comparison."""
    return tuple(map(fold, parts))


def short_name(name: str) -> str:
    """Shorten a file name of more than LONGEST_NAME bytes to its beginning and a hash of it."""
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= LONGEST_NAME:
        return name
    return f"{data[: LONGEST_NAME - 13].decode('utf-8', 'ignore')}~{hashlib.sha256(data).hexdigest()[:12]}"


def files_below(folder: Path, endings: Sequence[str], leave_out: Sequence[Path] = ()) -> list[Path]:
    """Return the files at any depth of `folder` with these endings, in any case, sorted.

    Hidden files, and files in `__MACOSX` or in one of the folders `leave_out`, do not count.
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
    """Return a text in which undecodable bytes of a file name are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _printable(text: str) -> str:
    """Return a text from a file on one line, with undecodable bytes spelt out."""
    return "".join(letter if letter.isprintable() else " " for letter in _spelt_out(text))
