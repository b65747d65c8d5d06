"""Turns what a reader yields into masks, states and records; here the shapes of all formats become pixels."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semsize.exchange.shapes import Polygon, crosses_itself, leaves, union
from semsize.exchange.source import Account, SourceImage, SourceParticle
from semsize.sem import SEMReadError, orientation_tag, read_grey, read_scale
from semsize.sem.reading import TALLEST_SHARE
from semsize.sem.statements import AGREEMENT
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import STATES

IGNORE, DROP = "ignore", "drop"
MEANINGS = (*STATES, IGNORE, DROP)
"""What a label can mean: a state, a region to ignore (`iscrowd`), or no particle."""

_MOST_BEYOND = 1 / 4  # share of outlines wholly beyond an image up to which these alone are left out, not the image
UPRIGHT, MIRRORED = 1, 4  # orientation tags: 1 as stored; 2 to 4 mirrored or upside down; above 4 a quarter turn too


@dataclass(frozen=True, eq=False)
class AnnotatedMasks:
    """The N particles of one image that have pixels in it."""

    masks: CroppedMasks
    names: tuple[str, ...]  # name of each in the source, for messages
    labels: tuple[str | None, ...]  # label of each in the source; None without a label
    states: tuple[str | None, ...]  # the state that the label means, one of `STATES` or None
    ignored: np.ndarray  # (N,) bool, regions to ignore: crowds, and particles whose label means `ignore`
    lost: int = 0  # annotations that could not be read, or have no pixel in the image

    def __len__(self) -> int:
        return len(self.masks)


def annotated_masks(
    image: SourceImage, image_shape: tuple[int, int], account: Account, meanings: Mapping[str, str] | None = None
) -> AnnotatedMasks:
    """Return masks and states of the particles that a reader found in an image of size `image_shape` (H, W).

    `account` notes annotations that are left out, cut or odd; `meanings` maps labels to MEANINGS, see `meaning_of`.
    """
    kept, crops, seen, lost = [], [], {}, len(image.unread)
    for particle in image.particles:
        place = f"{image.name}: {particle.name}"
        meaning = meaning_of(particle.label, meanings or {})
        if meaning == DROP:
            account.note(f"annotations left out, labelled {particle.label}", place)
            continue
        mask = _particle_mask(particle, image_shape, place, account)
        if mask is None:
            lost += 1
            continue
        pixels = (*mask.origins[0].tolist(), *mask.crops[0].shape, mask.crops[0].tobytes())
        if pixels in seen:
            account.note("annotations drawn twice on the same pixels, taken once", place)
            kept[seen[pixels]] = _joined(kept[seen[pixels]], (particle, meaning))
            continue
        seen[pixels] = len(kept)
        kept.append((particle, meaning))
        crops.append(mask)
    return AnnotatedMasks(
        CroppedMasks.cat(crops) if crops else CroppedMasks.empty(image_shape),
        tuple(particle.name for particle, _ in kept),
        tuple(particle.label for particle, _ in kept),
        tuple(meaning if meaning in STATES else None for _, meaning in kept),
        np.array([particle.is_crowd or meaning == IGNORE for particle, meaning in kept], bool),
        lost,
    )


def _joined(
    first: tuple[SourceParticle, str | None], second: tuple[SourceParticle, str | None]
) -> tuple[SourceParticle, str | None]:
    """Merge two annotations of the same pixels, in any order.

    The label that has a meaning is kept; if the meanings differ there is no state. A particle and a crowd are a
    particle.
    """
    (kept, meaning), (other, other_meaning) = (second, first) if first[1] is None else (first, second)
    is_crowd = kept.is_crowd and other.is_crowd
    return dataclasses.replace(kept, is_crowd=is_crowd), meaning if other_meaning in (None, meaning) else None


def size_trouble(image: SourceImage, file_shape: tuple[int, int], account: Account, above: int = 0) -> str | None:
    """Name both sizes if outlines were drawn at another size than the file's (H, W); None if they fit the file.

    If the source states no size, outlines do not fit when more than a quarter lie wholly beyond the frame. Outlines
    drawn on the image without its data bar fit; `above` is the height of a bar on top, 0 for one at the foot. `account`
    notes them, and orientation tags that leave open how the outlines were drawn.
    """
    sizes = misfit(image.size, file_shape, image.path)
    if sizes is not None:
        return sizes
    particles = image.particles if image.size is None else []
    beyond = [particle.name for particle in particles if _is_beyond(particle, file_shape)]
    if len(beyond) > _MOST_BEYOND * len(image.particles):
        return (
            f"{len(beyond)} of {len(image.particles)} outlines lie beyond {file_shape[1]} x {file_shape[0]}, the first "
            f"is {beyond[0]}: drawn before the image was cropped or resized, or on another image"
        )
    tag = orientation_tag(image.path)
    if UPRIGHT < tag <= MIRRORED or (tag > MIRRORED and (image.size is None or image.size[0] == image.size[1])):
        account.note(
            "images that viewers turn by an orientation tag, taken as they are stored: look whether the outlines fit",
            f"{image.name} (orientation {tag})",
        )
    if image.size is not None and image.size != file_shape:
        drawn = f"{image.name} ({image.size[1]} x {image.size[0]} on {file_shape[1]} x {file_shape[0]})"
        missing = f"highest {above}" if above else "lowest"
        account.note(f"images annotated without their {missing} rows, taken for a data bar", drawn)
    return None


def _is_beyond(particle: SourceParticle, image_shape: tuple[int, int]) -> bool:
    """Whether a particle lies wholly to the right of an image of (H, W), or below it."""
    x, y = np.min([shape.bounds[:2] for shape in particle.shapes], axis=0)
    return bool(x >= image_shape[1] or y >= image_shape[0])


def misfit(drawn: tuple[int, int] | None, file_shape: tuple[int, int], path: Path) -> str | None:
    """Say why outlines cannot be of an image file; None if they fit the file, or its rows above a data bar.

    `drawn` is the (H, W) of the image that they were drawn on, None if unknown; `file_shape` is the (H, W) of the file.
    """
    if drawn is None or (
        drawn[1] == file_shape[1] and (1 - TALLEST_SHARE) * file_shape[0] <= drawn[0] <= file_shape[0]
    ):
        return None
    sizes = f"{drawn[1]} x {drawn[0]} on {file_shape[1]} x {file_shape[0]}"
    if drawn == file_shape[::-1] and orientation_tag(path) > MIRRORED:
        sizes += ", as viewers turn it by its orientation tag: save the image turned and without the tag, and give that"
    return sizes


def meaning_of(label: str | None, meanings: Mapping[str, str]) -> str | None:
    """Return what a label means: one of MEANINGS, or None.

    `meanings` goes first. Else a state's name or `ignore` counts, in any case, with blanks or hyphens for underscores.
    """
    if label is None:
        return None
    if label in meanings:
        return meanings[label]
    plain = label.strip().lower().replace(" ", "_").replace("-", "_")
    return plain if plain in (*STATES, IGNORE) else None


def _particle_mask(
    particle: SourceParticle, image_shape: tuple[int, int], place: str, account: Account
) -> CroppedMasks | None:
    """Return the mask of a particle in an image of (H, W); note it and return None if it has no pixel there."""
    masks = CroppedMasks.from_crops([union(particle.shapes, image_shape)], image_shape)
    outside = any(leaves(shape, image_shape) for shape in particle.shapes)
    if masks.areas[0] == 0:
        why = "outside their image" if outside else "empty: they cover no pixel centre"
        account.note(f"annotations left out, {why}", place)
        return None
    if outside:
        account.note("annotations that leave their image, cut at its border", place)
    rings = [ring for shape in particle.shapes if isinstance(shape, Polygon) for ring in shape.rings]
    if any(crosses_itself(ring) for ring in rings):
        account.note("annotations whose outline crosses itself, filled wherever it winds round: look at them", place)
    return masks


@dataclass(frozen=True)
class ConvertedImage:
    """One image with its particles, which have no ids yet."""

    path: Path
    name: str  # what the source calls it
    size: tuple[int, int]  # (H, W) of the file
    pixel_size_nm: float | None  # None where not known
    configuration: str | None  # None where not known
    particles: tuple[dict[str, Any], ...]  # arguments of `particle_entry` without the ids

    @property
    def particle_count(self) -> int:
        """Number of particles, without the regions to ignore."""
        return sum(not particle["iscrowd"] for particle in self.particles)


def convert_images(
    images: Iterable[SourceImage],
    account: Account,
    *,
    pixel_size_nm: float | None,
    meanings: Mapping[str, str],
    min_area_px: int,
    keep_empty: bool,
) -> tuple[list[ConvertedImage], Counter[str]]:
    """Convert images and their particles to records.

    Args:
        images: images from a reader.
        account: notes images and annotations that are left out, cut or odd.
        pixel_size_nm: used for every image, whatever its files state; None: take the size that they state.
        meanings: maps labels to MEANINGS, see `meaning_of`.
        min_area_px: smaller particles become regions to ignore.
        keep_empty: keep images without a particle, as background.

    Returns:
        The converted images, and how often each label that means no state occurred.
    """
    converted, strange_labels = [], Counter()
    for image in images:
        size = _image_size(image, account)
        if size is None:
            continue
        found = annotated_masks(image, size, account, meanings)
        ignored = found.ignored | (found.masks.areas < min_area_px)
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
        if not particles and not keep_empty:
            account.note("images left out, no particle in them (--keep-empty keeps them as background)", image.name)
            continue
        value_nm = _pixel_size_nm(image, size, pixel_size_nm, account)
        converted.append(ConvertedImage(image.path, image.name, size, value_nm, image.configuration, tuple(particles)))
    return converted, strange_labels


def _image_size(image: SourceImage, account: Account) -> tuple[int, int] | None:
    """Return (H, W) of the image file; note the image and return None if it cannot be used."""
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


def _pixel_size_nm(
    image: SourceImage, size: tuple[int, int], declared_nm: float | None, account: Account
) -> float | None:
    """Return nm per pixel: the declared value, else the annotation file's, else that of the image file, or None."""
    stated_nm = image.pixel_size_nm
    if stated_nm is None:
        try:
            stated, notes = read_scale(image.path, shape=size)
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
