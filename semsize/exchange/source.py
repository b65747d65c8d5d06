"""What a reader gives of each image, whatever the format: shapes, labels, and an account of what was wrong."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semsize.exchange.shapes import Shape
from semsize.structures.polygons import ShapeError

IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
LONGEST_NAME = 200  # bytes of a file name made here: file systems take 255, and endings and marks are added to it


class ExchangeError(ValueError):
    """Somebody's annotations cannot be read at all; the message names the file and says what to do, in one line."""


@dataclass(frozen=True, eq=False)
class SourceParticle:
    """One annotated particle.

    Attributes:
        name: how to find it in the source, such as "region 3".
        shapes: its parts, joined when they become pixels.
        label: what the source calls its state or class; None where it says nothing.
        is_crowd: the source marks a region to ignore.
    """

    name: str
    shapes: tuple[Shape, ...]
    label: str | None = None
    is_crowd: bool = False


@dataclass(eq=False)
class SourceImage:
    """One annotated image.

    Attributes:
        path: the image file; None where it was not found, or is not certain.
        name: what the source calls it.
        particles: in the source's order.
        size: (H, W) that the annotations were drawn on, where the source says so.
        pixel_size_nm: where the source says so.
        configuration: where the source says so.
        trouble: why its outlines must not be used, in a clause; None where nothing speaks against it.
        candidates: image files that the outlines may be of, where `path` is None.
        unread: why an annotation of it could not be read, for each of those.
    """

    path: Path | None
    name: str
    particles: list[SourceParticle] = field(default_factory=list)
    size: tuple[int, int] | None = None
    pixel_size_nm: float | None = None
    configuration: str | None = None
    trouble: str | None = None
    candidates: tuple[Path, ...] = ()
    unread: list[str] = field(default_factory=list)


class Account:
    """What was odd in a source: which kind of trouble, and where; printed in the order in which kinds first occur."""

    def __init__(self):
        self.places: dict[str, list[str]] = {}

    def note(self, kind: str, place: str) -> None:
        """Count one `place` (a file, or "file: region 3") under `kind`, which also says what is done about it."""
        self.places.setdefault(_printable(kind), []).append(_printable(place))

    @contextlib.contextmanager
    def tolerate(self, place: str, image: SourceImage) -> Iterator[None]:
        """Leave out the annotation of `image` that is read in the body if it is malformed, and count it."""
        try:
            yield
        except ShapeError as error:
            image.unread.append(str(error))
            self.note(f"annotations left out, {error}", place)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            image.unread.append("they are not in the form of their format")
            self.note("annotations left out, not in the form of their format", f"{place} ({error!r})")

    def lines(self, limit: int | None = None) -> Iterator[str]:
        """One line a kind, naming its places, at most `limit` of them."""
        for kind, places in self.places.items():
            shown = places[:limit]
            more = "" if len(shown) == len(places) else f" and {len(places) - len(shown)} more"
            yield f"{len(places)} × {kind}: {', '.join(shown)}{more}"


def _printable(text: str) -> str:
    """A text from a file in one line, bytes that are no text spelt out."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in text)


def stated_size(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W) as a source states it, in numbers or as text; None where it does not."""
    try:
        sides = float(str(height)), float(str(width))
    except ValueError:
        return None
    return (int(sides[0]), int(sides[1])) if all(side > 0 and side.is_integer() for side in sides) else None


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


def short_name(name: str) -> str:
    """A file name that leaves room for an ending on every file system: as it is, or its beginning and a hash of it."""
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= LONGEST_NAME:
        return name
    return f"{data[: LONGEST_NAME - 13].decode('utf-8', 'ignore')}~{hashlib.sha256(data).hexdigest()[:12]}"
