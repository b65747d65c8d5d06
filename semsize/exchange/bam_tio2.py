"""BAM's annotated TiO₂ SEM images (Zenodo record 4563942): the archive, its split, and particles from its masks.

Colours in the four-class masks say what kind of particle each is. The archive does not name the classes; from looking
at them we infer: green is fully imaged, blue partly hidden, red unusable.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from semsize.sem import read_grey, read_pixel_size
from semsize.structures import SPECK_PX, CroppedMasks, assign_states, image_record, particle_record
from semsize.structures.files import ZIP_ERRORS

SPLITS = {
    "train": (
        *("1908248", "1908250", "1908254", "1908258", "1908264", "1908266", "1908268", "1908274", "1908278", "1908280"),
        *("1908284", "1908288", "1908292", "1908294", "1908298", "1908302", "1908306", "1908308", "1908312", "1908316"),
        *("1908320", "1908322"),
    ),
    "val": ("1908260", "1908272", "1908286", "1908300", "1908314", "1908324"),
}
CLASS_OF_COLOUR = {"green": "complete", "blue": "masked", "red": "unusable"}
INFO = {
    "description": "TiO2 particles in SEM images, converted from Zenodo record 4563942 by bam_tio2.py",
    "url": "https://doi.org/10.5281/zenodo.4563942",
    "contributor": "B. Rühle, J. F. Krumrey, V.-D. Hodoroaba, Scientific Reports 11, 4942 (2021)",
}
LICENSES = [{"id": 1, "name": "CC BY-NC-ND 4.0", "url": "https://creativecommons.org/licenses/by-nc-nd/4.0/"}]

_IMAGES = PurePosixPath("Electron Microscopy Images/SEM")
_MASKS = PurePosixPath("Electron Microscopy Image Masks/TiO2_Masks_Manual_4connected")
_CLASSES = PurePosixPath("Electron Microscopy Image Masks/TiO2_Masks_Manual_4connected_4Classes")
_FRAME_HEIGHT, _STORED_HEIGHT = 704, 768  # rows above the data bar, rows of the file
_CHANNEL_OF_COLOUR = {"blue": 0, "green": 1, "red": 2}  # as OpenCV reads them


class BamArchiveError(ValueError):
    """The archive is not laid out, or a file of it not shaped, as record 4563942 is; the message names it."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One SEM image with its masks: paths to read, and the split that it belongs to."""

    name: str  # without ending, e.g. 1908248
    split: str  # train, val or test
    image: Path
    mask: Path
    classes: Path | None


@dataclass(frozen=True)
class Archive:
    """What an archive holds, sorted by name, and what of it cannot be used."""

    images: tuple[AnnotatedImage, ...]
    without_mask: tuple[str, ...]  # SEM images left out
    without_image: tuple[str, ...]  # masks left out
    absent: tuple[str, ...]  # of the fixed train and val images, not in the archive or without mask


def unpack(source: Path, target: Path) -> Path:
    """The folder to read: `source` itself, or `target` with the SEM images and masks of the zip `source`.

    Raises:
        BamArchiveError: `source` is neither a folder nor a readable zip, or lacks the images or masks.
    """
    if source.is_dir():
        return source
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                path = PurePosixPath(member.filename.replace("\\", "/"))
                folder = next((known for known in (_IMAGES, _MASKS, _CLASSES) if _ends_with(path.parent, known)), None)
                if folder is None or member.is_dir() or not _is_tiff(path):
                    continue
                unpacked = target / folder / path.name
                if unpacked.exists():
                    raise BamArchiveError(f"{source}: holds {folder / path.name} twice; give the folder that counts")
                unpacked.parent.mkdir(parents=True, exist_ok=True)
                unpacked.write_bytes(archive.read(member))
    except BamArchiveError:
        raise
    except OSError as cause:
        raise BamArchiveError(
            f"{source}: cannot be read ({cause.strerror}); give the archive's folder or zip"
        ) from None
    except ZIP_ERRORS as cause:
        raise BamArchiveError(f"{source}: no sound zip ({cause}); download it again") from None
    for wanted in (_IMAGES, _MASKS):
        if not (target / wanted).is_dir():
            raise _lacks(source, wanted)
    return target


def list_archive(folder: Path) -> Archive:
    """Find the archive's folders at any depth below `folder` and pair images with masks.

    Images outside the fixed train and val lists are `test` if they have a mask.

    Raises:
        BamArchiveError: the folder of images or of masks is missing or occurs twice, or no image has a mask.
    """
    found = [_find(folder, _IMAGES), _find(folder, _MASKS), _find(folder, _CLASSES)]
    for wanted, path in zip((_IMAGES, _MASKS), found[:2], strict=True):
        if path is None:
            raise _lacks(folder, wanted)
    images, masks, classes = (
        {} if path is None else _tiffs(path, ending) for path, ending in zip(found, ("", "_m", "_cm"), strict=True)
    )
    split_of = {name: split for split, names in SPLITS.items() for name in names}
    names = sorted(images.keys() & masks.keys())
    if not names:
        raise BamArchiveError(f"{folder}: no image of {_IMAGES} has a mask in {_MASKS}; give the whole archive")
    return Archive(
        tuple(AnnotatedImage(n, split_of.get(n, "test"), images[n], masks[n], classes.get(n)) for n in names),
        without_mask=tuple(sorted(images.keys() - masks.keys())),
        without_image=tuple(sorted(masks.keys() - images.keys())),
        absent=tuple(sorted(split_of.keys() - set(names))),
    )


def convert_image(
    entry: AnnotatedImage, *, image_id: int, first_id: int, min_area_px: int = SPECK_PX
) -> tuple[np.ndarray, dict[str, Any], list[dict[str, Any]]]:
    """One image without its data bar (h, W) uint8, its record, and its particles' records, numbered from `first_id`.

    Raises:
        SEMReadError: the image cannot be read.
        BamArchiveError: a size or value is not what the layout has, naming the file.
    """
    pixel_size = read_pixel_size(entry.image)
    grey, labels, colours = _frame_without_data_bar(entry)
    image = image_record(
        id=image_id,
        file_name=f"{entry.name}.png",
        height=grey.shape[0],
        width=grey.shape[1],
        pixel_size_nm=None if pixel_size is None else pixel_size.value_nm,
        source=f"Zenodo 4563942, {entry.image.name}",
    )
    return grey, image, particle_records(labels, colours, image_id=image_id, first_id=first_id, min_area_px=min_area_px)


def particle_records(
    labels: np.ndarray, colours: Sequence[str | None] | None, *, image_id: int, first_id: int, min_area_px: int
) -> list[dict[str, Any]]:
    """Annotations of one image; components below `min_area_px` are specks: `iscrowd` 1, no state, no neighbours.

    Args:
        labels: (H, W), components from 1 to N.
        colours: the N components' colours, None where not known.
        image_id: of the image.
        first_id: of its first particle.
        min_area_px: smallest area of a particle.
    """
    masks = CroppedMasks.from_label_image(labels)
    colours = [None] * len(masks) if colours is None else list(colours)
    particles = np.flatnonzero(masks.areas >= min_area_px)
    classes = [CLASS_OF_COLOUR.get(colours[index]) for index in particles]
    states = dict(zip(particles.tolist(), assign_states(masks[particles], classes), strict=True))
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


def majority_colours(labels: np.ndarray, colours: np.ndarray) -> list[str | None]:
    """Most frequent of green, blue and red in each particle; None where none of them occurs.

    Args:
        labels: (H, W), particles from 1 to N.
        colours: (H, W, 3) uint8 in OpenCV's order B, G, R; exactly one bright channel marks a class.
    """
    bright = colours > 127
    marked = bright & (bright.sum(axis=2, keepdims=True) == 1)
    channels = [marked[..., _CHANNEL_OF_COLOUR[name]] for name in CLASS_OF_COLOUR]
    votes = [np.bincount(labels[channel], minlength=labels.max() + 1)[1:] for channel in channels]
    names = list(CLASS_OF_COLOUR)
    return [names[int(vote.argmax())] if vote.any() else None for vote in np.stack(votes, axis=1)]


def _frame_without_data_bar(entry: AnnotatedImage) -> tuple[np.ndarray, np.ndarray, list[str | None] | None]:
    """Grey levels (h, W) uint8, labels (h, W) of the 4-connected particles, and their majority colours, if known.

    The class mask is as high as the frame above the data bar; without one, files of 768 rows are known to show 704.
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


def _find(folder: Path, wanted: PurePosixPath) -> Path | None:
    """The folder below `folder` whose path ends in `wanted`; what macOS adds to archives does not count."""
    found = sorted(path for path in folder.rglob(wanted.name) if _ends_with(path, wanted) and path.is_dir())
    if len(found) > 1:
        raise BamArchiveError(f"{folder}: holds {wanted} twice ({found[0]}, {found[1]}); give the one that counts")
    return found[0] if found else None


def _lacks(source: Path, wanted: PurePosixPath) -> BamArchiveError:
    return BamArchiveError(f"{source}: holds no files in {wanted}; give the archive of Zenodo record 4563942")


def _ends_with(path: PurePosixPath | Path, end: PurePosixPath) -> bool:
    return path.parts[-len(end.parts) :] == end.parts and "__MACOSX" not in path.parts


def _is_tiff(path: PurePosixPath | Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".")


def _tiffs(folder: Path, ending: str) -> dict[str, Path]:
    """TIFF files of a folder by their name without `ending`."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if _is_tiff(path) and path.stem.endswith(ending):
            other = found.setdefault(path.stem.removesuffix(ending), path)
            if other != path:
                raise BamArchiveError(f"{folder}: holds {other.name} and {path.name} of one image; keep one of them")
    return found


def _read(path: Path, flag: int) -> np.ndarray:
    image = cv2.imdecode(np.fromfile(path, np.uint8), flag) if path.stat().st_size else None
    if image is None:
        raise BamArchiveError(f"{path}: not a readable image; copy it again from the archive")
    return image


def _wrong_size(path: Path, mask: np.ndarray, stored: np.ndarray) -> BamArchiveError:
    size, image_size = (f"{array.shape[1]} x {array.shape[0]}" for array in (mask, stored))
    return BamArchiveError(f"{path}: {size} pixels do not fit an image of {image_size}; take the archive's own file")
