"""An SEM file read to grey levels and pixel size, its data bar, and what a microscope does to a picture."""

from semsize.sem.captions import find_captions
from semsize.sem.files import SEMReadError, read_values
from semsize.sem.pixel_size import read_pixel_size, read_scale
from semsize.sem.reading import (
    SEMImage,
    find_data_bar,
    orientation_tag,
    particle_contrast,
    read_grey,
    read_image,
)
