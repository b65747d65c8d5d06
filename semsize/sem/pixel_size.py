"""Read the pixel size of an image file from wherever the microscope's maker writes it (docs/pixel-sizes.md)."""

from __future__ import annotations

import functools
import os
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from semsize.sem.files import SEMReadError, is_tiff, open_tiff, read_bytes
from semsize.sem.makers_tags import phenom_statements, tag_statements
from semsize.sem.makers_texts import hitachi_text, jeol_text, tescan_text
from semsize.sem.reading import read_grey
from semsize.sem.statements import AGREEMENT, Statements, decoded
from semsize.structures.pixel_size import PixelSize

_LARGEST_BYTES = 1 << 20  # read of a text beside an image
_SETTLED_NS = 5_000_000_000  # after a folder's last change its listing is kept in memory


def read_pixel_size(path: str | Path) -> PixelSize | None:
    """Return the pixel size stated in an image file or in the text file of its name beside it.

    The first stated size is taken from: the tags of Zeiss, ThermoFisher (FEI, Phenom), TESCAN, JEOL, Hitachi, Fibics
    and Olympus, ImageJ's and OME's descriptions, and the side-car files of Hitachi, JEOL and TESCAN. A TIFF's dots per
    inch are ignored, and a size of zero counts as not stated. `std_nm` is None unless the size comes from a scale bar
    in whole pixels (JEOL).

    Returns:
        The pixel size, its `source` naming tag and entry; None if nothing is stated.

    Raises:
        SEMReadError: the file cannot be read, a statement cannot be understood, two differ by more than 0.5 %, or the
            picture has another size than the statement was made for; one line. `read_scale` raises none of these
            if a pixel size is declared.
    """
    return read_scale(path)[0]


def read_scale(
    path: str | Path, declared: PixelSize | None = None, shape: tuple[int, int] | None = None
) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Return the pixel size of an image, and notes on its scale: a tilted stage, pixels that are not square.

    Args:
        path: the image file.
        declared: overrides what the file states; a note says if both differ by more than 0.5 %.
        shape: (H, W) of the image, if the caller has read it; else a PNG, JPEG or BMP may have to be decoded.

    Raises:
        SEMReadError: as `read_pixel_size`, but only if nothing is declared.
    """
    stated = Statements(Path(path), functools.cache(lambda: shape or read_grey(path, intensity_range=(0, 1)).shape))
    try:
        _collect(stated)
        size = stated.agreed()
    except SEMReadError:
        if declared is None:
            raise
        size = None
    if declared is None:
        missing = [f"{text}; give --pixel-size" for text in stated.missing] if size is None else []
        return size, (*stated.notes, *missing)
    notes = list(stated.notes)
    if size is not None and abs(size.value_nm - declared.value_nm) > AGREEMENT * declared.value_nm:
        notes.append(f"states {size.value_nm:g} nm a pixel ({size.source}), not the {declared.value_nm:g} nm declared")
    return declared, tuple(notes)


def _collect(stated: Statements) -> None:
    """Read what the file states, then what texts of Hitachi, JEOL and TESCAN beside it state; ignore other texts."""
    path = stated.path
    if is_tiff(read_bytes(path, 4)):
        with open_tiff(path) as tiff:
            page = tiff.pages.first
            stated.shape = lambda: (page.imagelength, page.imagewidth)
            tag_statements(tiff, stated)
    else:
        phenom_statements(read_bytes(path), stated)
    for side_car in _side_cars(path):
        text, name = decoded(read_bytes(side_car, _LARGEST_BYTES)) if side_car.stat().st_size else "", side_car.name
        if not hitachi_text(text, name, stated) and not jeol_text(text, name, stated):
            tescan_text(text, name, stated)


def _side_cars(path: Path) -> Iterable[Path]:
    """Find text files that may belong to an image: NAME.txt or NAME.tif.txt, NAME-tif.hdr or NAME.hdr, in any case.

    A text whose name has another case than the image's counts only if no other image has exactly that name.
    """
    ending = path.suffix[1:]
    wanted = {_folded(f"{path.stem}{end}") for end in (".txt", f"{path.suffix}.txt", f"-{ending}.hdr", ".hdr")}
    names = _names(path.parent)
    found = sorted({name for folded in wanted for name in names.get(folded, ()) if name != path.name})
    own = [name for name in found if name.startswith(path.stem)]
    others = [name for name in names.get(_folded(path.name), ()) if name != path.name]
    if not own:
        found = [name for name in found if not any(name.startswith(Path(other).stem) for other in others)]
    return [path.with_name(name) for name in own or found]


def _names(folder: Path) -> dict[str, list[str]]:
    changed = folder.stat().st_mtime_ns
    now = time.time_ns()
    return _listed(folder, changed if now - changed > _SETTLED_NS else now)


@functools.lru_cache(maxsize=2)
def _listed(folder: Path, _changed: int) -> dict[str, list[str]]:
    """List a folder's files by case-folded name; the cache makes one listing serve many images."""
    names: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        names.setdefault(_folded(name), []).append(name)
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
