"""The pixel size that a microscope or an image program wrote into a file, or beside it (docs/pixel-sizes.md)."""

from pathlib import Path

from tio2.sem.files import is_tiff, open_tiff, read_bytes
from tio2.sem.makers_tags import fei_statements, zeiss_statements
from tio2.sem.scientific_tiff import imagej_statements, ome_statements
from tio2.sem.side_cars import side_car_statements
from tio2.sem.statements import agreed
from tio2.structures.pixel_size import PixelSize


def read_pixel_size(path: str | Path) -> PixelSize | None:
    """Pixel size stated in an image file or in the text file of its name beside it.

    Read are the tags of Zeiss and ThermoFisher (FEI), ImageJ's and OME's descriptions, and the side-cars of Hitachi
    and JEOL; the first that states one is taken, in that order. A TIFF's resolution in dots per inch counts for
    nothing, and a statement of zero for none. The value carries no uncertainty, as no file states one.

    Returns:
        The pixel size, its `source` naming tag and entry; None where nothing is stated.

    Raises:
        SEMReadError: the file cannot be read, a statement cannot be understood, two differ by more than 0.5 %, or the
            pixels are not square; one line. A pixel size declared by the user settles it: don't ask the file then.
    """
    statements = []
    if is_tiff(read_bytes(path, 4)):
        with open_tiff(path) as tiff:
            for statements_in in (zeiss_statements, fei_statements, imagej_statements, ome_statements):
                statements += statements_in(tiff, path)
    return agreed([*statements, *side_car_statements(path)], path)
