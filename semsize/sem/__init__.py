"""Read SEM files: grey levels, pixel size, data bar and captions; and degrade pictures as a microscope does."""

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
