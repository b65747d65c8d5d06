"""The annotated TiO₂ SEM images of BAM (Zenodo record 4563942): particles from its masks.

The masks say where particles are, their colours in the four-class masks what kind. The archive does not name the
classes; from looking at them we infer: green is fully imaged, blue partly hidden, red unusable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semsize.exchange.bam_tio2_archive import AnnotatedImage, BamArchiveError
from semsize.sem import read_grey, read_pixel_size
from semsize.structures.annotations import image_record, particle_record
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import assign_states

SPECK_AREA_PX = 12
FRAME_HEIGHT, STORED_HEIGHT = 704, 768  # rows above the data bar, rows of the file
CLASS_OF_COLOUR = {"green": "complete", "blue": "masked", "red": "unusable"}
INFO = {
    "description": "TiO2 particles in SEM images, converted from Zenodo record 4563942 by bam_tio2.py",
    "url": "https://doi.org/10.5281/zenodo.4563942",
    "contributor": "B. Rühle, J. F. Krumrey, V.-D. Hodoroaba, Scientific Reports 11, 4942 (2021)",
}
LICENSES = [{"id": 1, "name": "CC BY-NC-ND 4.0", "url": "https://creativecommons.org/licenses/by-nc-nd/4.0/"}]
_CHANNEL_OF_COLOUR = {"blue": 0, "green": 1, "red": 2}  # as OpenCV reads them


def convert_image(
    entry: AnnotatedImage, *, image_id: int, first_id: int, min_area_px: int = SPECK_AREA_PX
) -> tuple[np.ndarray, dict[str, Any], list[dict[str, Any]]]:
    """One image without its data bar, and its records.

    Args:
        entry: the files to read.
        image_id: of the image.
        first_id: of its first particle; the others follow.
        min_area_px: smallest area of a particle; smaller components are specks.

    Returns:
        Grey levels (h, W) uint8, the image record, and the particle records.

    Raises:
        SEMReadError: the image cannot be read.
        BamArchiveError: a size or value is not what the layout has, naming the file.
    """
    pixel_size = read_pixel_size(entry.image)
    grey, labels, colours = frame_without_data_bar(entry)
    image = image_record(
        id=image_id,
        file_name=f"{entry.name}.png",
        height=grey.shape[0],
        width=grey.shape[1],
        pixel_size_nm=None if pixel_size is None else pixel_size.value_nm,
        source=f"Zenodo 4563942, {entry.image.name}",
    )
    return grey, image, particle_records(labels, colours, image_id=image_id, first_id=first_id, min_area_px=min_area_px)


def frame_without_data_bar(entry: AnnotatedImage) -> tuple[np.ndarray, np.ndarray, list[str | None] | None]:
    """What of an image shows the sample.

    The class mask is as high as the frame above the data bar; without one, files of 768 rows are known to show 704.

    Returns:
        The frame's grey levels (h, W) uint8; labels (h, W) int32 of its particles, which are 4-connected; and per
        particle the name of its majority colour, or None where the image has no class mask.

    Raises:
        SEMReadError, BamArchiveError: see `convert_image`.
    """
    stored = read_grey(entry.image, intensity_range=(0, 65535))  # 16 bits pass below only if they hold 8-bit levels
    colours = None if entry.classes is None else _read(entry.classes, cv2.IMREAD_COLOR)
    height, width = stored.shape
    if colours is not None:
        if colours.shape[1] != width or colours.shape[0] > height:
            raise _wrong_size(entry.classes, colours, stored)
        height = len(colours)
    elif height == STORED_HEIGHT:
        height = FRAME_HEIGHT
    else:
        raise BamArchiveError(f"{entry.image}: cannot tell where its data bar begins; give its _cm.tif")
    mask = _read(entry.mask, cv2.IMREAD_GRAYSCALE)
    if mask.shape not in (stored.shape, (height, width)):
        raise _wrong_size(entry.mask, mask, stored)
    if not np.isin(mask, (0, 255)).all():
        raise BamArchiveError(f"{entry.mask}: a mask holds 0 and 255 only; take the archive's own file")
    grey = stored[:height].astype(np.uint8)
    if not np.array_equal(grey, stored[:height]):
        raise BamArchiveError(f"{entry.image}: not an 8-bit image; take the archive's own file")
    labels = cv2.connectedComponents(mask[:height], connectivity=4)[1]
    return grey, labels, None if colours is None else majority_colours(labels, colours)


def majority_colours(labels: np.ndarray, colours: np.ndarray) -> list[str | None]:
    """Most frequent of green, blue and red in each particle; None where none of them occurs.

    Args:
        labels: (H, W), particles from 1 to N.
        colours: (H, W, 3) uint8 in OpenCV's order B, G, R; exactly one bright channel marks a class.
    """
    bright = colours > 127
    marked = bright & (bright.sum(axis=2, keepdims=True) == 1)
    votes = np.stack(
        [
            np.bincount(labels[marked[..., channel]], minlength=labels.max() + 1)[1:]
            for channel in (_CHANNEL_OF_COLOUR[name] for name in CLASS_OF_COLOUR)
        ],
        axis=1,
    )  # (N, 3)
    names = list(CLASS_OF_COLOUR)
    return [names[int(vote.argmax())] if vote.any() else None for vote in votes]


def particle_records(
    labels: np.ndarray, colours: Sequence[str | None] | None, *, image_id: int, first_id: int, min_area_px: int
) -> list[dict[str, Any]]:
    """Annotations of one image.

    Components below `min_area_px` are specks: `iscrowd` 1, no state, and nobody's neighbours.

    Args:
        labels: (H, W), components from 1 to N.
        colours: the N components' colours, None where not known.
        image_id: see `convert_image`, as the others.
        first_id: see `convert_image`.
        min_area_px: see `convert_image`.
    """
    masks = CroppedMasks.from_label_image(labels)
    colours = [None] * len(masks) if colours is None else list(colours)
    whole = np.flatnonzero(masks.areas >= min_area_px)
    classes = [CLASS_OF_COLOUR.get(colours[index]) for index in whole]
    states = dict(zip(whole.tolist(), assign_states(masks[whole], classes), strict=True))
    return [
        particle_record(
            id=first_id + index,
            image_id=image_id,
            rle=rle,
            state=states.get(index),
            source_state=colours[index],
            iscrowd=int(index not in states),
        )
        for index, rle in enumerate(masks.to_rles())
    ]


def _read(path: Path, flag: int) -> np.ndarray:
    image = cv2.imdecode(np.fromfile(path, np.uint8), flag) if path.stat().st_size else None
    if image is None:
        raise BamArchiveError(f"{path}: not a readable image; copy it again from the archive")
    return image


def _wrong_size(path: Path, mask: np.ndarray, stored: np.ndarray) -> BamArchiveError:
    size, image_size = (f"{array.shape[1]} x {array.shape[0]}" for array in (mask, stored))
    return BamArchiveError(f"{path}: {size} pixels do not fit an image of {image_size}; take the archive's own file")
