"""From what a reader gives to the project's annotations."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semsize.exchange.particles import annotated_masks, size_trouble
from semsize.exchange.source import Account, SourceImage
from semsize.sem import SEMReadError, read_grey, read_scale
from semsize.sem.statements import AGREEMENT


@dataclass(frozen=True)
class Settings:
    """What the user decides.

    Attributes:
        pixel_size_nm: taken for every image, whatever the files say; None leaves it to them.
        meanings: label to one of MEANINGS, before the states' own names are tried.
        min_area_px: smaller particles become regions to ignore.
        keep_empty: keep images without a particle, as background.
    """

    pixel_size_nm: float | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)
    min_area_px: int = 1
    keep_empty: bool = False


@dataclass(frozen=True)
class ConvertedImage:
    """One image with its particles, still without numbers.

    Attributes:
        path: the image file.
        name: what the source calls it.
        size: (H, W) of the file.
        pixel_size_nm: None where nobody knows.
        configuration: None where not known.
        particles: arguments of `particle_record` save the ids.
    """

    path: Path
    name: str
    size: tuple[int, int]
    pixel_size_nm: float | None
    configuration: str | None
    particles: tuple[dict[str, Any], ...]


def convert_images(
    images: Iterable[SourceImage], settings: Settings, account: Account
) -> tuple[list[ConvertedImage], Counter[str]]:
    """Convert each image; what cannot be used goes to `account`.

    Returns:
        The images, and how often each label occurred that means no state.
    """
    converted, strange_labels = [], Counter()
    for image in images:
        size = _image_size(image, account)
        if size is None:
            continue
        found = annotated_masks(image, size, account, settings.meanings)
        ignored = found.ignored | (found.masks.areas < settings.min_area_px)
        particles = [
            {"rle": rle, "source_state": label, "state": state, "iscrowd": int(ignore)}
            for rle, label, state, ignore in zip(
                found.masks.to_rles(), found.labels, found.states, ignored.tolist(), strict=True
            )
        ]
        strange = zip(found.labels, found.states, ignored, strict=True)
        strange_labels.update(label for label, state, ignore in strange if label and not state and not ignore)
        if not particles and found.lost:
            account.note("images left out, none of their annotations can be used", f"{image.name} ({found.lost})")
            continue
        if not particles and not settings.keep_empty:
            account.note("images left out, no particle in them (--keep-empty keeps them as background)", image.name)
            continue
        pixel_size_nm = _pixel_size(image, settings.pixel_size_nm, account)
        converted.append(
            ConvertedImage(image.path, image.name, size, pixel_size_nm, image.configuration, tuple(particles))
        )
    return converted, strange_labels


def _image_size(image: SourceImage, account: Account) -> tuple[int, int] | None:
    """(H, W) of the image file; None, and a note, where it cannot be used."""
    if image.trouble is not None:
        account.note("images left out with their annotations", f"{image.name} ({image.trouble})")
        return None
    if image.path is None:
        account.note("images left out with their annotations, no such file", image.name)
        return None
    try:
        height, width = read_grey(image.path).shape
    except SEMReadError as error:
        account.note("images left out, they cannot be read", f"{image.name} ({error})")
        return None
    sizes = size_trouble(image, (height, width), account)
    if sizes is not None:
        account.note("images left out, annotated at another size than the file has", f"{image.name} ({sizes})")
        return None
    return height, width


def _pixel_size(image: SourceImage, declared_nm: float | None, account: Account) -> float | None:
    """Nanometres a pixel: the user's word, else the annotation file's, else the image file's tags."""
    stated_nm = image.pixel_size_nm
    if stated_nm is None:
        try:
            stated, notes = read_scale(image.path)
            for note in notes:
                account.note("images whose scale needs a look", f"{image.name} ({note})")
        except SEMReadError as error:
            stated = None
            if declared_nm is None:
                account.note("images whose pixel size cannot be understood", f"{image.name} ({error})")
        stated_nm = None if stated is None else stated.value_nm
    if declared_nm is None:
        return stated_nm
    if stated_nm is not None and not np.isclose(stated_nm, declared_nm, rtol=AGREEMENT, atol=0):
        account.note(
            f"images that state another pixel size, taken with the declared {declared_nm:g} nm",
            f"{image.name} ({stated_nm:g} nm)",
        )
    return declared_nm
