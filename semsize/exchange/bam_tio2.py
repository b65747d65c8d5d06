"""Converts BAM's annotated TiO₂ SEM images and their masks (Zenodo record 4563942) to a data set.

The colours of the four-class masks state the class of each particle. The archive does not name the classes; we infer
from the images: green is fully imaged, blue partly hidden, red unusable.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semsize.exchange.bam_archive import SPLITS, AnnotatedImage, BamArchiveError, list_archive, unpack
from semsize.exchange.writing import count_images, counts_table, holds_dataset, new_folder
from semsize.sem import read_grey, read_pixel_size
from semsize.structures import (
    SPECK_PX,
    CroppedMasks,
    assign_states,
    dataset,
    image_entry,
    particle_entry,
    write_annotations,
)

CLASS_OF_COLOUR = {"green": "complete", "blue": "masked", "red": "unusable"}
INFO = {
    "description": "TiO2 particles in SEM images, converted from Zenodo record 4563942 by bam_tio2.py",
    "url": "https://doi.org/10.5281/zenodo.4563942",
    "contributor": "B. Rühle, J. F. Krumrey, V.-D. Hodoroaba, Scientific Reports 11, 4942 (2021)",
}
LICENSES = [{"id": 1, "name": "CC BY-NC-ND 4.0", "url": "https://creativecommons.org/licenses/by-nc-nd/4.0/"}]

_FRAME_HEIGHT, _STORED_HEIGHT = 704, 768  # rows above the data bar, rows of the file
_CHANNEL_OF_COLOUR = {"blue": 0, "green": 1, "red": 2}  # as OpenCV reads them


def convert_archive(source: Path, out: Path, min_area_px: int = SPECK_PX) -> str:
    """Write the archive as a data set, whole or not at all; return a text that says what was written and left out.

    Args:
        source: the archive's zip, or a folder that contains its files.
        out: folder of images/<split>/*.png and annotations/<split>.json; replaced if an earlier conversion wrote it.
        min_area_px: smallest area of a particle, see `particle_entries`.

    Raises:
        BamArchiveError: `source` is not this archive, or its masks contain no particle.
        FolderExistsError: `out` holds something else.
        SEMReadError: an image cannot be read.
    """
    written_before = partial(holds_dataset, info=INFO)
    with new_folder(out, written_before) as folder, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        archive = list_archive(unpack(source, Path(scratch)))
        of_split = {split: [each for each in archive.images if each.split == split] for split in (*SPLITS, "test")}
        counts = {
            split: _write_split(chosen, split, folder, min_area_px) for split, chosen in of_split.items() if chosen
        }
        if not any(count["particles"] for count in counts.values()):
            raise BamArchiveError(f"{source}: its masks contain no particle; take the archive's own files")
    notes = {
        "SEM images without a mask, left out": archive.without_mask,
        "masks without an SEM image, left out": archive.without_image,
        "images without a class mask, their states unknown": [e.name for e in archive.images if e.classes is None],
        "images of the fixed split that SRC lacks": archive.absent,
    }
    lines = [f"{len(names)} {what}: {' '.join(names)}" for what, names in notes.items() if names]
    return "\n".join([*counts_table(counts, "specks"), *lines, "most: particles in the fullest image"])


def _write_split(entries: Sequence[AnnotatedImage], split: str, folder: Path, min_area_px: int) -> Counter[str]:
    """Write images and annotations of one split; return their numbers (`count_images`)."""
    images, found = [], []
    (folder / "images" / split).mkdir(parents=True)
    for entry in entries:
        first_id = sum(map(len, found)) + 1
        grey, image, particles = convert_image(
            entry, image_id=len(images) + 1, first_id=first_id, min_area_px=min_area_px
        )
        (folder / "images" / split / image["file_name"]).write_bytes(cv2.imencode(".png", grey)[1])
        images.append(image)
        found.append(particles)
    data = dataset(images, [particle for particles in found for particle in particles], INFO, LICENSES)
    write_annotations(folder / "annotations" / f"{split}.json", data)
    return count_images(found)


def convert_image(
    entry: AnnotatedImage, *, image_id: int, first_id: int, min_area_px: int = SPECK_PX
) -> tuple[np.ndarray, dict[str, Any], list[dict[str, Any]]]:
    """Return an image without data bar (h, W) uint8, its record, and its particles' records, with ids from `first_id`.

    Raises:
        SEMReadError: the image cannot be read.
        BamArchiveError: a file has an unexpected size or unexpected values; the message names it.
    """
    pixel_size = read_pixel_size(entry.image)
    grey, labels, colours = _frame_without_data_bar(entry)
    image = image_entry(
        id=image_id,
        file_name=f"{entry.name}.png",
        height=grey.shape[0],
        width=grey.shape[1],
        pixel_size_nm=None if pixel_size is None else pixel_size.value_nm,
        source=f"Zenodo 4563942, {entry.image.name}",
    )
    return grey, image, particle_entries(labels, colours, image_id=image_id, first_id=first_id, min_area_px=min_area_px)


def particle_entries(
    labels: np.ndarray, colours: Sequence[str | None] | None, *, image_id: int, first_id: int, min_area_px: int
) -> list[dict[str, Any]]:
    """Return the annotations of one image; components below `min_area_px` are specks, with `iscrowd` 1 and no state.

    Args:
        labels: (H, W), components numbered from 1 to N.
        colours: colour of each of the N components; None where unknown.
        image_id: id of the image.
        first_id: id of its first particle.
        min_area_px: smallest area of a particle; specks are no neighbours of particles when states are assigned.
    """
    masks = CroppedMasks.from_label_image(labels)
    colours = [None] * len(masks) if colours is None else list(colours)
    particles = np.flatnonzero(masks.areas >= min_area_px)
    classes = [CLASS_OF_COLOUR.get(colours[index]) for index in particles]
    states = dict(zip(particles.tolist(), assign_states(masks[particles], classes), strict=True))
    return [
        particle_entry(
            id=first_id + index,
            image_id=image_id,
            rle=rle,
            state=states.get(index),
            source_state=colours[index],
            iscrowd=int(index not in states),
        )
        for index, rle in enumerate(masks.to_rles())
    ]


def majority_colours(labels: np.ndarray, colours: np.ndarray) -> list[str | None]:
    """Return the most frequent of green, blue and red in each particle; None for a particle without them.

    Args:
        labels: (H, W), particles numbered from 1 to N.
        colours: (H, W, 3) uint8 in OpenCV's order B, G, R; exactly one bright channel marks a class.
    """
    bright = colours > 127
    marked = bright & (bright.sum(axis=2, keepdims=True) == 1)
    channels = [marked[..., _CHANNEL_OF_COLOUR[name]] for name in CLASS_OF_COLOUR]
    votes = [np.bincount(labels[channel], minlength=labels.max() + 1)[1:] for channel in channels]
    names = list(CLASS_OF_COLOUR)
    return [names[int(vote.argmax())] if vote.any() else None for vote in np.stack(votes, axis=1)]


def _frame_without_data_bar(entry: AnnotatedImage) -> tuple[np.ndarray, np.ndarray, list[str | None] | None]:
    """Return grey levels (h, W) uint8, labels (h, W) of the 4-connected particles, and their majority colours or None.

    The class mask is as high as the frame above the data bar; without it, files of 768 rows have a frame of 704.
    """
    stored = read_grey(entry.image, intensity_range=(0, 65535))  # 16 bits pass below only if they hold 8-bit levels
    colours = None if entry.classes is None else _read(entry.classes, cv2.IMREAD_COLOR)
    height, width = stored.shape
    if colours is not None:
        if colours.shape[1] != width or colours.shape[0] > height:
            raise _wrong_size(entry.classes, colours, stored)
        height = len(colours)
    elif height == _STORED_HEIGHT:
        height = _FRAME_HEIGHT
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


def _read(path: Path, flag: int) -> np.ndarray:
    image = cv2.imdecode(np.fromfile(path, np.uint8), flag) if path.stat().st_size else None
    if image is None:
        raise BamArchiveError(f"{path}: not a readable image; copy it again from the archive")
    return image


def _wrong_size(path: Path, mask: np.ndarray, stored: np.ndarray) -> BamArchiveError:
    size, image_size = (f"{array.shape[1]} x {array.shape[0]}" for array in (mask, stored))
    return BamArchiveError(f"{path}: {size} pixels do not fit an image of {image_size}; take the archive's own file")
