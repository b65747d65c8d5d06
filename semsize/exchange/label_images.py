"""Reads label images (PNG, TIFF, BMP; any bit depth or palette): each positive value is a particle, 0 is background.

Masks of 0 and 255, masks whose particles are 0, and photographs are recognised and refused. The label that watersheds
write for the ground is left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from semsize.exchange.shapes import Bitmap
from semsize.exchange.source import Account, ExchangeError, SourceImage, SourceParticle, Stated
from semsize.exchange.which_picture import ImageFolder
from semsize.sem import SEMReadError, read_values
from semsize.structures.masks import CroppedMasks

_KNOWN_ENDING = re.compile(
    r"[-_. ](cp_masks?|masks?|seg(map|mentation)?s?|labels?([-_ ]?images?)?|lbl|instances?|objects?|gt)$", re.IGNORECASE
)
_GROUND_GAPS = 0.1  # largest share of 0 in the labelled window if a label is the ground: only lines between particles
_FRAME_SHARE = 0.02  # widest line of a frame around the image, as a share of its side; at least 3 px
_SPECK_SHARE = 0.01  # smaller pieces, as a share of the largest one's area, do not count in telling classes from labels
_SOFT_SHARE = 0.95  # least share of a smoothed mask's nonzero pixels that hang together with its white: all but specks
_LARGEST_COUNTED = 1 << 20  # up to this label, counting pixels in a table is quicker than sorting them
_BOXES_OF_LABELS = 30  # most that the boxes of labels cover, in areas of the image; boxes of grey levels cover more


def read_label_images(
    images: ImageFolder, labels: ImageFolder, account: Account, *, suffix: str = "", binary: bool = False
) -> Iterator[SourceImage]:
    """Yield each image once, with the particles of the label image that has its name (up to `suffix`) and subfolder.

    An image with two label images, or with one that cannot be read, gets `trouble`.

    Args:
        images: the images.
        labels: the label images; may be the same folder if the ends of the names tell images from label images.
        account: notes files that are left out, and odd labels.
        suffix: end of the label images' names, such as `_mask`; if empty, the usual ends are known (`_cp_masks`,
            `_masks`, `_seg`, `_labels` and so on), and names without an end.
        binary: read masks: 4-connected components of values from half the largest one on are the particles.
    """
    label_files = [path for path in labels.files if path.stem.endswith(suffix)]
    for path in sorted(set(labels.files) - set(label_files) - set(images.files)):
        account.note(f"label images left out, their names don't end in {suffix}", path.name)
    stated = [
        Stated.of_file(
            path,
            labels.root,
            [f"{stem}{end}" for stem in picture_stems(path.stem, suffix) for end in (path.suffix, "")],
            on_disk=False,
        )
        for path in label_files
    ]
    left_out = "label images left out, no image of that name (--suffix names the end)"
    for path, image in images.paired(stated, account, left_out, "without a label image"):
        if image.trouble is None:
            try:
                values = read_labels(path)
                image.particles = label_particles(values, path, binary, image.name, account)
                image.size = values.shape
            except ExchangeError as error:
                image.trouble = str(error)
        yield image


def picture_stems(stem: str, suffix: str) -> list[str]:
    """Return the stems that the image may have: without `suffix` if given, else with and without a usual end."""
    if suffix:
        return [stem.removesuffix(suffix)] if stem.endswith(suffix) else []
    plain = _KNOWN_ENDING.sub("", stem)
    return [stem] if plain in ("", stem) else [stem, plain]


def read_labels(path: Path) -> np.ndarray:
    """Read the labels (H, W) int64 of a file.

    Raises:
        ExchangeError: the file cannot be read, has colours, or holds values other than whole numbers from 0.
    """
    try:
        values = read_values(path, labels=True).values
    except SEMReadError as error:
        raise ExchangeError(str(error)) from None
    if values.ndim == 3 and (values.shape[2] == 2 or (values[..., :3] == values[..., :1]).all()):
        values = values[..., 0]
    if values.ndim != 2:
        raise ExchangeError(f"{path}: has colours; save the labels as one channel of whole numbers")
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.int64)
    if not np.array_equal(labels, values):
        raise ExchangeError(f"{path}: labels must be whole numbers; export them as 8, 16 or 32-bit integers")
    if labels.min(initial=0) < 0:
        raise ExchangeError(
            f"{path}: holds labels below 0 ({labels.min()}; -1 is a watershed's boundary): set them to 0 and save it"
        )
    return labels


def label_particles(labels: np.ndarray, path: Path, binary: bool, name: str, account: Account) -> list[SourceParticle]:
    """Return the particles of labels (H, W) int64 from 0, or of a mask if `binary`, named after their labels.

    A label of the ground and labels in several pieces are noted under the image's `name`; errors name the file `path`.

    Raises:
        ExchangeError: the file holds a mask or classes instead of labels, labels instead of a mask, or a photograph.
    """
    labels = _without_rim(_without_ground(labels, name, account), name, account)
    values, _ = _areas(labels)
    if len(values) == 0:
        return []
    _refuse_pictures(labels, path)
    largest, is_mask = values[-1], len(values) == 1 or _has_soft_edges(labels)
    if binary and not is_mask:
        raise ExchangeError(f"{path}: holds {len(values)} values, labels and not a mask: leave --binary out")
    mask = labels >= (largest + 1) // 2
    if binary and len(values) > 1:
        account.note("masks of more than two values, taken from half of the largest one on", name)
    if binary or len(values) == 1:
        _refuse_inverted(mask, path)
    if binary:
        return _as_particles(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1])
    if is_mask and (len(values) == 1 or largest in (255, 65535)) and _pieces(mask) > 1:
        raise ExchangeError(
            f"{path}: a mask of 0 and {largest}, not labels; with --binary each connected piece is a particle"
        )
    _refuse_classes(labels, len(values), path)
    particles = _as_particles(labels)
    for particle in particles:
        if _pieces(particle.shapes[0].crop) > 1:
            account.note("labels in several pieces, kept as one particle", f"{name}: {particle.name}")
    return particles


def label_image(masks: CroppedMasks) -> np.ndarray:
    """Return labels 1 to N of N masks, (H, W) uint16; where masks overlap, the later one shows."""
    if len(masks) >= 2**16:
        raise ExchangeError(f"{len(masks)} masks do not fit into 16 bits; split the image")
    labels = np.zeros(masks.image_shape, np.uint16)
    for number, (crop, (row, column)) in enumerate(masks, start=1):
        labels[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    return labels


def _as_particles(labels: np.ndarray) -> list[SourceParticle]:
    """Return one particle per positive label, named after its label."""
    numbers = _areas(labels)[0].tolist()
    masks = CroppedMasks.from_label_image(labels)
    return [
        SourceParticle(f"label {number}", (Bitmap(crop, origin),))
        for number, (crop, origin) in zip(numbers, masks, strict=True)
    ]


def _areas(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels above 0, ascending, and their numbers of pixels."""
    if labels.max(initial=0) > _LARGEST_COUNTED:
        return np.unique(labels[labels > 0], return_counts=True)
    counts = np.bincount(labels.ravel())
    values = 1 + np.flatnonzero(counts[1:])
    return values, counts[values]


def _without_ground(labels: np.ndarray, name: str, account: Account) -> np.ndarray:
    """Set the label of the ground, if there is one, to 0.

    The ground is the label with the most pixels. It touches all four sides of the window that encloses all labels, and
    at most a tenth of this window is 0: in images whose ground is 0, more is.
    """
    rows, columns = np.flatnonzero(labels.any(axis=1)), np.flatnonzero(labels.any(axis=0))
    if len(rows) == 0:
        return labels
    window = labels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    values, counts = _areas(window)
    ground = values[counts.argmax()]
    is_ground = window == ground
    if len(values) < 2 or not _touches_all_sides(is_ground) or counts.sum() < (1 - _GROUND_GAPS) * window.size:
        return labels
    share = 100 * is_ground.sum() / labels.size
    account.note("labels of the ground, which no particle is, left out", f"{name}: label {ground} ({share:.0f} %)")
    return np.where(labels == ground, 0, labels)


def _without_rim(labels: np.ndarray, name: str, account: Account) -> np.ndarray:
    """Set the label of a line around the image, if there is one, to 0."""
    rows, columns = (max(3, round(_FRAME_SHARE * side)) for side in labels.shape)
    inside = labels[rows:-rows, columns:-columns]
    for label in np.unique(labels[0][labels[0] > 0]):
        is_label = labels == label
        if inside.size and _touches_all_sides(is_label) and not (inside == label).any():
            account.note("labels of a line around the image, left out", f"{name}: label {label}")
            labels = np.where(is_label, 0, labels)
    return labels


def _has_soft_edges(labels: np.ndarray) -> bool:
    """Whether nearly all nonzero pixels are connected to pixels of the largest value, as in a smoothed mask."""
    pieces = cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=8)[1]
    with_largest = np.zeros(pieces.max() + 1, bool)
    with_largest[pieces[labels == labels.max()]] = True
    return np.count_nonzero(with_largest[pieces]) >= _SOFT_SHARE * np.count_nonzero(pieces)


def _refuse_inverted(mask: np.ndarray, path: Path) -> None:
    """Refuse a mask (H, W) in which one piece takes half the frame and touches its four sides: this is the ground."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    share = stats[largest, cv2.CC_STAT_AREA] / mask.size
    if share >= 0.5 and _touches_all_sides(pieces == largest):
        raise ExchangeError(
            f"{path}: a mask whose white takes {100 * share:.0f} % of the frame and touches its four sides is ground, "
            "not a particle; if the particles are black, invert the mask and give --binary"
        )


def _refuse_classes(labels: np.ndarray, values: int, path: Path) -> None:
    """Refuse values with two or more pieces each, on average, that do not touch: they number classes, not particles."""
    areas = _areas(cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=8)[1])[1]
    pieces = int((areas >= _SPECK_SHARE * areas.max()).sum())
    if values > 1 and pieces >= 2 * values:
        raise ExchangeError(
            f"{path}: {values} values on {pieces} pieces that do not touch: classes and not labels; number the "
            "particles, or save one class as a mask of 0 and 255 and give --binary"
        )


def _refuse_pictures(labels: np.ndarray, path: Path) -> None:
    """Refuse values that are scattered over the whole frame, as the grey levels of a photograph are."""
    if labels.max() > _LARGEST_COUNTED:
        labels = np.searchsorted(np.append(0, _areas(labels)[0]), labels)
    boxes = [box for box in ndimage.find_objects(labels) if box is not None]
    area = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes)
    if area > _BOXES_OF_LABELS * labels.size:
        raise ExchangeError(f"{path}: its {len(boxes)} values are scattered all over it: a photograph, not labels")


def _touches_all_sides(mask: np.ndarray) -> bool:
    """Whether a mask touches all four sides of its frame; False for a frame without an inside."""
    return min(mask.shape) > 2 and bool(mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any())


def _pieces(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
