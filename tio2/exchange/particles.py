"""From a source's shapes and labels to masks and states: here shapes become pixels, once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tio2.exchange.crossings import crosses_itself
from tio2.exchange.shapes import Polygon, leaves, union
from tio2.exchange.source import Account, SourceImage, SourceParticle
from tio2.structures.masks import CroppedMasks
from tio2.structures.states import STATES

IGNORE, DROP = "ignore", "drop"
MEANINGS = (*STATES, IGNORE, DROP)
"""What a label can mean: a state, a region to ignore (`iscrowd`), or no particle."""


@dataclass(frozen=True, eq=False)
class AnnotatedMasks:
    """The particles of one image that have pixels in it.

    Attributes:
        masks: N masks.
        names: how to find each in the source, N.
        labels: what the source calls each, None where it says nothing, N.
        states: what that means, one of `STATES` or None, N.
        ignored: (N,) bool, regions to ignore: crowds, and labels that mean it.
    """

    masks: CroppedMasks
    names: tuple[str, ...]
    labels: tuple[str | None, ...]
    states: tuple[str | None, ...]
    ignored: np.ndarray

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
    kept, crops = [], []
    for particle in image.particles:
        place = f"{image.name}: {particle.name}"
        meaning = meaning_of(particle.label, meanings or {})
        if meaning == DROP:
            account.note(f"annotations left out, labelled {particle.label}", place)
            continue
        mask = particle_mask(particle, image_shape, place, account)
        if mask is not None:
            kept.append((particle, meaning))
            crops.append(mask)
    return AnnotatedMasks(
        CroppedMasks.cat(crops) if crops else CroppedMasks.empty(image_shape),
        tuple(particle.name for particle, _ in kept),
        tuple(particle.label for particle, _ in kept),
        tuple(meaning if meaning in STATES else None for _, meaning in kept),
        np.array([particle.is_crowd or meaning == IGNORE for particle, meaning in kept], bool),
    )


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
