"""Pixel size of a microscope's image file, from wherever its maker writes it (see docs/pixel-sizes.md)."""

import functools
from pathlib import Path

from semsize.sem.files import SEMReadError, is_tiff, open_tiff, read_bytes
from semsize.sem.makers_tags import makers_statements, phenom_statements
from semsize.sem.reading import read_grey
from semsize.sem.scientific_tiff import imagej_statements, ome_statements
from semsize.sem.side_cars import side_car_statements
from semsize.sem.statements import AGREEMENT, Statements
from semsize.structures.pixel_size import PixelSize


def read_pixel_size(path: str | Path) -> PixelSize | None:
    """Pixel size stated in an image file or in the text file of its name beside it.

    Read are the tags of Zeiss, ThermoFisher (FEI, Phenom), TESCAN, JEOL, Hitachi, Fibics and Olympus, ImageJ's and
    OME's descriptions, and the side-cars of Hitachi, JEOL and TESCAN; the first that states one is taken, in that
    order. A TIFF's resolution in dots per inch counts for nothing, and a statement of zero for none. `std_nm` is None
    unless the file states a size to whole pixels only (JEOL's scale bar).

    Returns:
        The pixel size, its `source` naming tag and entry; None where nothing is stated.

    Raises:
        SEMReadError: the file cannot be read, a statement cannot be understood, two differ by more than 0.5 %, or the
            picture has another size than the statement was made for; one line. A pixel size declared by the user
            settles it.
    """
    return read_scale(path)[0]


def read_scale(path: str | Path, declared: PixelSize | None = None) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Pixel size of an image, and what must be said of its scale: a tilted stage, pixels that are not square.

    Args:
        path: the image file.
        declared: goes before whatever the file states; where both differ by more than 0.5 %, a note says so.

    Raises:
        SEMReadError: nothing is declared, and `read_pixel_size` raises it.
    """
    stated = Statements(Path(path), functools.cache(lambda: read_grey(path, intensity_range=(0, 1)).shape))
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
    path = stated.path
    if is_tiff(read_bytes(path, 4)):
        with open_tiff(path) as tiff:
            page = tiff.pages.first
            stated.shape = lambda: (page.imagelength, page.imagewidth)
            makers_statements(tiff, stated)
            imagej_statements(tiff, stated)
            ome_statements(tiff, stated)
    else:
        phenom_statements(read_bytes(path), stated)
    side_car_statements(stated)
