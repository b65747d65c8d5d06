"""Which image files are to be measured: files, folders and patterns, each image once, under a name of its own."""

from __future__ import annotations

import glob
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from semsize.exchange import ExchangeError, ImageFolder, files_below, picture_stems
from semsize.measuring.errors import InputError
from semsize.sem.files import FOREIGN_ENDINGS

KEY_LENGTH, KEY_BYTES = 60, 180  # characters, and bytes, of a name that a file name made from it keeps


@dataclass(frozen=True)
class ImageFile:
    r"""An image to measure.

    Attributes:
        path: the file.
        name: what tables and report call it: its path below the folder that was given, or its file name, with as many
            folders in front as tell it from all others; bytes that are no text are written as \x….
    """

    path: Path
    name: str

    @property
    def key(self) -> str:
        """Name of files made for this image, without ending: unique, and legal on every file system."""
        plain = re.sub(r"[^\w.-]+", "_", str(Path(self.name).with_suffix("")))[-KEY_LENGTH:]
        plain = plain.encode()[-KEY_BYTES:].decode(errors="ignore")
        return f"{plain}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


def find_images(inputs: Sequence[str | Path], leave_out: Path) -> list[ImageFile]:
    """The image files that files, folders and patterns name, in the order given, each once.

    Args:
        inputs: files (any ending: what is no image is told when it is read), folders (searched to any depth for
            images, and for files in microscopes' own formats, which are named when they are read), or patterns such
            as ``scan/**/*.tif``.
        leave_out: a folder whose files are no input: that of the results.

    Raises:
        InputError: something is not there, or holds no image.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # resolved: path as given, and relative to what was given
    for given in inputs:
        for path, relative in _expand(str(given), leave_out):
            found.setdefault(path.resolve(), (path, relative))
    if not found:
        raise InputError("no image was given; name image files, folders or patterns")
    names = _distinct_names([(path, relative) for path, relative in found.values()])
    return [ImageFile(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


def without_label_images(files: Sequence[ImageFile], folder: Path, suffix: str) -> list[ImageFile]:
    """The pictures among files that lie together with label images.

    Where some files lie outside the label images' folder, those within are label images; where all lie in it, those
    are that are called like another file and an end of label images' names.

    Args:
        files: of `find_images`.
        folder: that of the label images.
        suffix: end of their names; "" for the usual ones.
    """
    root = folder.resolve()
    places = {file: file.path.resolve() for file in files}
    outside = [file for file, place in places.items() if not place.is_relative_to(root)]
    if outside:
        return outside
    stems = {(place.parent, place.stem) for place in places.values()}
    return [
        file
        for file, place in places.items()
        if not any((place.parent, stem) in stems for stem in picture_stems(place.stem, suffix) if stem != place.stem)
    ]


def _expand(given: str, leave_out: Path) -> Iterable[tuple[Path, Path]]:
    path = Path(given)
    if path.is_dir():
        foreign = _foreign_files(path, leave_out)
        try:
            files = ImageFolder(path, leave_out=[leave_out]).files
        except ExchangeError as cause:
            if not foreign:
                raise InputError(str(cause)) from None
            files = []
        exported = {file.with_suffix("") for file in files}
        files += [file for file in foreign if file.with_suffix("") not in exported]
        return [(file, file.relative_to(path)) for file in files]
    if path.exists():
        return [(path, Path(path.name))]
    matches = sorted(match for match in glob.glob(given, recursive=True) if Path(match).is_file())
    if not matches:
        pattern = "no file matches this pattern" if glob.has_magic(given) else "no such file or folder"
        raise InputError(f"{given}: {pattern}; check the path")
    return [(Path(match), Path(match).name) for match in matches]


def _foreign_files(folder: Path, leave_out: Path) -> list[Path]:
    """Files in microscopes' own formats, which cannot be measured, but shall not be passed over."""
    return [path for path in files_below(folder, FOREIGN_ENDINGS, [leave_out]) if path.is_file()]


def _distinct_names(files: Sequence[tuple[Path, Path]]) -> list[str]:
    """A name for each file, with ever more of its folders until all are distinct."""
    names = [Path(relative).as_posix() for _, relative in files]
    while True:
        groups = defaultdict(list)
        for number, name in enumerate(names):
            groups[name].append(number)
        doubles = [number for group in groups.values() if len(group) > 1 for number in group]
        if not doubles:
            return [name.encode("utf-8", "backslashreplace").decode() for name in names]
        for number in doubles:
            path = files[number][0].resolve()
            depth = len(Path(names[number]).parts) + 1
            names[number] = Path(*path.parts[-depth:]).as_posix()
