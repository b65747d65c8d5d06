"""An SEM file read to grey levels and pixel size, and what a microscope does to a picture."""

from tio2.sem.files import SEMReadError
from tio2.sem.pixel_size import read_pixel_size
from tio2.sem.reading import read_grey

__all__ = ["SEMReadError", "read_grey", "read_pixel_size"]
