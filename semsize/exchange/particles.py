"""From a source's shapes and labels to masks and states: here shapes become pixels, once."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semsize.exchange.crossings import crosses_itself
from semsize.exchange.shapes import Polygon, leaves, union
from semsize.exchange.source import Account, SourceImage, SourceParticle
from semsize.sem import orientation_tag
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import STATES

IGNORE, DROP = "ignore", "drop"
MEANINGS = (*STATES, IGNORE, DROP)
"""What a label can mean: a state, a region to ignore (`iscrowd`), or no particle."""

TALLEST_BAR = 1 / 4  # of an image's rows, that outlines drawn above a data bar may lack
_MOST_BEYOND = 1 / 4  # of an image's outlines; single ones that lie wholly beyond it are left out, and counted
UPRIGHT, MIRRORED = 1, 4  # orientation tags: as stored; up to 4 mirrored or upside down, above 4 on their side too


@dataclass(frozen=True, eq=False)
class AnnotatedMasks:
    """The particles of one image that have pixels in it.

    Attributes:
        masks: N masks.
        names: how to find each in the source, N.
        labels: what the source calls each, None where it says nothing, N.
        states: what that means, one of `STATES` or None, N.
        ignored: (N,) bool, regions to ignore: crowds, and labels that mean it.
        lost: annotations that could not be read, or have no pixel in the image.
    """

    masks: CroppedMasks
    names: tuple[str, ...]
    labels: tuple[str | None, ...]
    states: tuple[str | None, ...]
    ignored: np.ndarray
    lost: int = 0

    def __len__(self) -> int:
        return len(self.masks)


def annotated_masks(
    image: SourceImage, image_shape: tuple[int, int], account: Account, meanings: Mapping[str, str] | None = None
) -> AnnotatedMasks:
    """Masks and states of what a reader gives for one image.

    Args:
        image: from any of the readers.
        image_shape: (H, W) of the image file.
        account: takes what is left out, cut or odd.
        meanings: label to one of MEANINGS, tried before the states' own names.
    """
    kept, crops, seen, lost = [], [], {}, len(image.unread)
    for particle in image.particles:
        place = f"{image.name}: {particle.name}"
        meaning = meaning_of(particle.label, meanings or {})
        if meaning == DROP:
            account.note(f"annotations left out, labelled {particle.label}", place)
            continue
        mask = particle_mask(particle, image_shape, place, account)
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
    one: tuple[SourceParticle, str | None], other: tuple[SourceParticle, str | None]
) -> tuple[SourceParticle, str | None]:
    """A particle that was written twice: with the label that means something; without a state where they disagree."""
    if other[1] is None or other[1] == one[1]:
        return one
    if one[1] is None:
        return other
    return dataclasses.replace(one[0], is_crowd=one[0].is_crowd and other[0].is_crowd), None


def size_trouble(image: SourceImage, file_shape: tuple[int, int], account: Account) -> str | None:
    """The two sizes, in words, where an image was annotated at another than its file of (H, W) has; None where it fits.

    Where the source states no size, many outlines that lie wholly beyond the file's frame are of another size.
    Outlines drawn above a data bar are accepted, and orientation tags that leave it open how they were drawn are named.
    """
    sizes = misfit(image.size, file_shape, image.path)
    if sizes is not None:
        return sizes
    beyond = [one.name for one in image.particles if _is_beyond(one, file_shape)] if image.size is None else []
    if len(beyond) > _MOST_BEYOND * len(image.particles):
        return (
            f"{len(beyond)} of {len(image.particles)} outlines lie beyond {file_shape[1]} x {file_shape[0]}, the first "
            f"is {beyond[0]}: drawn before the picture was cropped or resized, or on another"
        )
    tag = orientation_tag(image.path)
    if UPRIGHT < tag <= MIRRORED or (tag > MIRRORED and (image.size is None or image.size[0] == image.size[1])):
        account.note(
            "images that viewers turn by an orientation tag, taken as they are stored: look whether the outlines fit",
            f"{image.name} (orientation {tag})",
        )
    if image.size is not None and image.size != file_shape:
        drawn = f"{image.name} ({image.size[1]} x {image.size[0]} on {file_shape[1]} x {file_shape[0]})"
        account.note("images annotated without their lowest rows, taken for a data bar", drawn)
    return None


def _is_beyond(particle: SourceParticle, image_shape: tuple[int, int]) -> bool:
    """Whether a particle lies wholly to the right of an image of (H, W), or below it."""
    x, y = np.min([shape.bounds[:2] for shape in particle.shapes], axis=0)
    return bool(x >= image_shape[1] or y >= image_shape[0])


def misfit(drawn: tuple[int, int] | None, file_shape: tuple[int, int], path: Path) -> str | None:
    """Why outlines cannot be those of an image file; None where they fit it, or all of it above a data bar.

    Args:
        drawn: (H, W) that the outlines were drawn on; None where their source does not say.
        file_shape: (H, W) of the image file.
        path: the image file, whose orientation tag is asked.
    """
    if drawn is None or (drawn[1] == file_shape[1] and (1 - TALLEST_BAR) * file_shape[0] <= drawn[0] <= file_shape[0]):
        return None
    sizes = f"{drawn[1]} x {drawn[0]} on {file_shape[1]} x {file_shape[0]}"
    if drawn == file_shape[::-1] and orientation_tag(path) > MIRRORED:
        sizes += ", as viewers turn it by its orientation tag: save the image turned and without the tag, and give that"
    return sizes


def meaning_of(label: str | None, meanings: Mapping[str, str]) -> str | None:
    """What a label means: one of MEANINGS, or None.

    The table is asked first; then a state's own name counts, in any case and with blanks or hyphens for underscores.
    """
    if label is None:
        return None
    if label in meanings:
        return meanings[label]
    plain = label.strip().lower().replace(" ", "_").replace("-", "_")
    return plain if plain in (*STATES, IGNORE) else None


def particle_mask(
    particle: SourceParticle, image_shape: tuple[int, int], place: str, account: Account
) -> CroppedMasks | None:
    """The one mask of a particle in an image of (H, W); None, and a note, where no pixel of it is left."""
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
