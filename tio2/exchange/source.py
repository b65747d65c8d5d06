"""What a reader gives of each image, whatever the format: shapes, labels, and an account of what was wrong."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tio2.exchange.shapes import Shape
from tio2.structures.polygons import ShapeError

IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")


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
        path: the image file; None where it was not found.
        name: what the source calls it.
        particles: in the source's order.
        size: (H, W) that the annotations were drawn on, where the source says so.
        pixel_size_nm: where the source says so.
        configuration: where the source says so.
        trouble: why its outlines must not be used, in a clause; None where nothing speaks against it.
    """

    path: Path | None
    name: str
    particles: list[SourceParticle] = field(default_factory=list)
    size: tuple[int, int] | None = None
    pixel_size_nm: float | None = None
    configuration: str | None = None
    trouble: str | None = None


class Account:
    """What was odd in a source: which kind of trouble, and where; printed in the order in which kinds first occur."""

    def __init__(self):
        self.places: dict[str, list[str]] = {}

    def note(self, kind: str, place: str) -> None:
        """Count one `place` (a file, or "file: region 3") under `kind`, which also says what is done about it."""
        self.places.setdefault(_printable(kind), []).append(_printable(place))

    @contextlib.contextmanager
    def tolerate(self, place: str) -> Iterator[None]:
        """Leave out the annotation that is read in the body if it is malformed, and count it; nothing else stops."""
        try:
            yield
        except ShapeError as error:
            self.note(f"annotations left out, {error}", place)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
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


class ImageFolder:
    """Image files, of a folder or listed, found by the names that annotation files use for them."""

    def __init__(self, folder: Path, leave_out: Sequence[Path] = ()):
        """Look through `folder`, except what lies in the folders `leave_out`.

        Raises:
            ExchangeError: it is no folder or holds no images.
        """
        if not folder.is_dir():
            raise ExchangeError(f"{folder}: no such folder; give the one that holds the images")
        files = [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in IMAGE_ENDINGS
            and not path.name.startswith(".")
            and "__MACOSX" not in path.parts
            and not any(path.is_relative_to(other) for other in leave_out)
        ]
        if not files:
            raise ExchangeError(f"{folder}: holds no images ({' '.join(IMAGE_ENDINGS)}); give the folder that does")
        self._index({path: path.relative_to(folder).as_posix() for path in files})

    @classmethod
    def of_files(cls, files: Sequence[Path]) -> Self:
        """These image files, wherever they lie.

        Raises:
            ExchangeError: there are none.
        """
        if not files:
            raise ExchangeError("no image files are given; name one at least")
        places = {path: os.path.abspath(path) for path in files}
        common = os.path.commonpath([os.path.dirname(place) for place in places.values()])
        images = cls.__new__(cls)
        images._index({path: Path(place).relative_to(common).as_posix() for path, place in places.items()})
        return images

    def _index(self, names: Mapping[Path, str]) -> None:
        """Take up the files, and their names relative to a folder that all lie in."""
        self.files = list(names)
        self._names = dict(names)
        self._by_relative = {name: path for path, name in names.items()}
        self._by_name = _grouped({path: path.name for path in self.files})
        self._by_stem = _grouped({path: path.stem for path in self.files})

    def name_of(self, path: Path) -> str:
        """Relative path of one of the files."""
        return self._names[path]

    def find(self, name: str) -> Path | None:
        """The file of this relative path, else the only one of this file name; None where there is none, or several."""
        plain = name.replace("\\", "/")
        return self._by_relative.get(plain) or _only(self._by_name, plain.rpartition("/")[2])

    def find_stem(self, stem: str) -> Path | None:
        """The only file of this name without ending; None where there is none, or several."""
        return _only(self._by_stem, stem)


def _grouped(names: Mapping[Path, str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        groups.setdefault(name, []).append(path)
    return groups


def _only(groups: Mapping[str, list[Path]], name: str) -> Path | None:
    found = groups.get(name, [])
    return found[0] if len(found) == 1 else None
