"""Integer label images: one particle a positive value, 0 is background; 8, 16 or 32 bits, PNG or TIFF."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile

from tio2.exchange.shapes import Bitmap
from tio2.exchange.source import Account, ExchangeError, ImageFolder, SourceImage, SourceParticle
from tio2.structures.masks import CroppedMasks


def read_label_images(
    images: ImageFolder, labels: ImageFolder, account: Account, *, suffix: str = "", binary: bool = False
) -> Iterator[SourceImage]:
    """Pair images with label images of the same name, up to the ending and `suffix`.

    Args:
        images: the images.
        labels: the label images; may be the same folder, where `suffix` tells which is which.
        account: takes what is missing or odd.
        suffix: end of the label images' names, such as `_mask`.
        binary: whatever is not 0 is particle, and its 4-connected components are the particles.
    """
    label_files = [path for path in labels.files if path.stem.endswith(suffix)]
    for path in sorted(set(labels.files) - set(label_files) - set(images.files)):
        account.note(f"label images left out, their names don't end in {suffix}", path.name)
    paired = set(label_files)
    for path in label_files:
        stem = path.stem.removesuffix(suffix)
        image = images.find_stem(stem)
        if image is None:
            account.note("label images left out, no image or several of that name", path.name)
            continue
        paired.add(image)
        name = images.name_of(image)
        try:
            values = read_labels(path)
        except ExchangeError as error:
            account.note("images left out, their label images cannot be read", f"{name} ({error})")
            continue
        yield SourceImage(image, name, _particles(values, binary, name, account), size=values.shape)
    for image in sorted(set(images.files) - paired):
        account.note("images left out, without a label image", images.name_of(image))


def read_labels(path: Path) -> np.ndarray:
    """Labels (H, W) int64 of a file.

    Raises:
        ExchangeError: it cannot be read, has colours, or holds values that are no whole numbers from 0.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            values = tifffile.imread(path)
        else:
            values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except Exception as cause:  # both libraries let many kinds through
        raise ExchangeError(f"{path}: not a readable image ({str(cause).splitlines()[0]}); export it again") from None
    if values is None:
        raise ExchangeError(f"{path}: not a readable image; export it again")
    if values.ndim == 3 and values.shape[2] in (3, 4) and (values[..., :3] == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2:
        raise ExchangeError(f"{path}: has colours or pages; save the labels as one channel of whole numbers")
    labels = values.astype(np.int64)
    if not np.array_equal(labels, values) or labels.min(initial=0) < 0:
        raise ExchangeError(f"{path}: labels must be whole numbers from 0; export them as 8, 16 or 32-bit integers")
    return labels


def label_image(masks: CroppedMasks) -> np.ndarray:
    """Labels (H, W) uint16 of N masks, from 1 on; where masks overlap the later one shows."""
    if len(masks) >= 2**16:
        raise ExchangeError(f"{len(masks)} masks do not fit into 16 bits; split the image")
    labels = np.zeros(masks.image_shape, np.uint16)
    for number, (crop, (row, column)) in enumerate(masks, start=1):
        labels[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0] = number
    return labels


def _particles(labels: np.ndarray, binary: bool, name: str, account: Account) -> list[SourceParticle]:
    """One particle a label, named after it."""
    if binary:
        labels = cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=4)[1]
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    masks = CroppedMasks.from_label_image(labels)
    if len(masks) == 1 and _pieces(masks.crops[0]) > 1:
        account.note("label images of one label in several pieces: if they are masks of 0 and 1, give --binary", name)
    elif not binary:
        for number, crop in zip(numbers.tolist(), masks.crops, strict=True):
            if _pieces(crop) > 1:
                account.note("labels in several pieces, kept as one particle", f"{name}: label {number}")
    return [
        SourceParticle(f"label {number}", (Bitmap(crop, origin),))
        for number, (crop, origin) in zip(numbers.tolist(), masks, strict=True)
    ]


def _pieces(crop: np.ndarray) -> int:
    return cv2.connectedComponents(crop, connectivity=8)[0] - 1
