"""Cover real, fully imaged particles with real particles of the same image, so that the hidden parts are known.

People annotate what is seen, and nobody knows the rest of a particle that is partly hidden. A fully imaged particle
that is covered afterwards has a known whole outline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semsize.metrology.measurands import measure
from semsize.structures.masks import CroppedMasks, Placed, shared_pixels
from semsize.structures.pixel_size import PixelSize
from semsize.structures.states import ALONE_DISTANCE_PX, FULLY_IMAGED_STATES, has_neighbour_within, visibility_class
from tio2.agglomerates.agglomerate import FLIPS, MARGIN_PX, Agglomerate, Seam, composite, cut_out
from tio2.agglomerates.simulation import Placement

STEPS = 40  # distances tried between the middles of the covering and the covered particle

COVERED = "particles laid over others in "
"""Prefix of the `source` of an image with covered particles; the file name of the original image follows."""


@dataclass(frozen=True)
class CoverSettings:
    """The settings that decide how much of a particle is covered."""

    share: float = 0.5  # share of the fully imaged particles that is covered, 0 to 1; fewer if nothing fits
    fractions: tuple[float, float] = (0.3, 0.95)  # range from which the visible fraction is drawn uniformly
    tolerance: float = 0.03  # largest difference between the visible fraction and the value drawn
    tries: int = 6  # cut-outs tried for a particle
    least_px: int = 60  # smallest area of a particle that is covered or covers
    # a wider border would lay the substrate around a cut-out over particles
    seam: Seam = field(default_factory=lambda: Seam(border_px=0, band_px=1))


@dataclass(frozen=True, eq=False)
class Covered:
    """An image with K particles laid over others; arrays hold its N original particles, then the K laid over them."""

    image: np.ndarray  # (H, W) float32, grey levels 0-255
    visible: CroppedMasks  # N + K visible parts; empty if all is covered
    whole: CroppedMasks  # N + K whole outlines if `fractions` is known, else what was annotated
    # (N + K,) visible fraction of the particles that are covered or cover; NaN not known
    fractions: np.ndarray
    unchanged: np.ndarray  # (N + K,) bool: the whole annotated outline is still seen


def cover_particles(
    image: np.ndarray,
    masks: CroppedMasks,
    particles: Sequence[Mapping[str, Any]],
    rng: np.random.Generator,
    settings: CoverSettings | None = None,
) -> Covered:
    """Lay copies of fully imaged particles of an image over other fully imaged particles.

    Copies are turned and mirrored at random. A particle is fully imaged if it lies off the image's edge and its state
    says so, or, without a state, if it has no neighbour within 3 px. No particle is covered twice, no copy is covered.

    Args:
        image: (H, W) grey levels, 0-255.
        masks: N particles.
        particles: N annotations.
        rng: draws particles, turns and places.
        settings: None takes `CoverSettings()`.
    """
    settings, original = settings or CoverSettings(), image.astype(np.float32)
    image = original
    usable = np.flatnonzero(_fully_imaged(masks, particles) & (masks.areas >= settings.least_px))
    placed, fractions, covers = list(masks), np.full(len(masks), np.nan), []
    for number in rng.permutation(usable)[: round(settings.share * len(usable))].tolist():
        if any(shared_pixels(cover, placed[number]) for cover in covers):
            continue
        taken = [placed[n] for n in np.flatnonzero(~np.isnan(fractions)).tolist()] + covers
        for _ in range(settings.tries):
            other = int(rng.choice(usable))
            if other == number or not np.isnan(fractions[other]):
                continue
            found = _cover(original, masks[[other]], placed[number], taken, rng, settings)
            if found is None:
                continue
            placement, fractions[number] = found
            image = composite(image, [(placement.cutout, placement.corner)], settings.seam)
            [cover] = placement.masks_in(masks.image_shape)
            covers.append(cover)
            break
    laid = CroppedMasks.from_crops(covers, masks.image_shape)
    front = laid.union() > 0
    seen = CroppedMasks.from_crops([_uncovered(mask, front) for mask in placed], masks.image_shape)
    return Covered(
        image=image,
        visible=CroppedMasks.cat([seen, laid]),
        whole=CroppedMasks.cat([masks, laid]),
        fractions=np.append(fractions, np.ones(len(covers))),
        unchanged=np.append(seen.areas == masks.areas, np.ones(len(covers), bool)),
    )


def covered_particles(
    covered: Covered, particles: Sequence[Mapping[str, Any]], pixel_size: PixelSize | None
) -> list[dict[str, Any]]:
    """Return keywords of `semsize.structures.particle_entry` for each of the N + K particles that is still seen.

    A particle that was partly hidden before and is covered further has no state, since its fraction is not known.
    """
    measured, records = measure(covered.whole, pixel_size), []
    before = [*particles, *({} for _ in range(len(covered.visible) - len(particles)))]
    rles, wholes = covered.visible.to_rles(), covered.whole.to_rles()
    for number, particle in enumerate(before):
        if not covered.visible.areas[number]:
            continue
        known = {"iscrowd": particle.get("iscrowd", 0), "rle": rles[number]}
        fraction = float(covered.fractions[number])
        if np.isnan(fraction):
            states = {key: particle.get(key) for key in ("state", "source_state")}
            records.append(known | (states if covered.unchanged[number] else {}))
            continue
        known |= {"state": visibility_class(fraction), "amodal_rle": wholes[number], "visible_fraction": fraction}
        known["truncated"] = False
        if pixel_size is not None:
            known |= {name: getattr(measured, name)[number] for name in ("ecd_nm", "feret_min_nm", "feret_max_nm")}
        records.append(known)
    return records


def _fully_imaged(masks: CroppedMasks, particles: Sequence[Mapping[str, Any]]) -> np.ndarray:
    near = has_neighbour_within(masks, ALONE_DISTANCE_PX)
    states = [particle.get("state") for particle in particles]
    known = [state in FULLY_IMAGED_STATES if state else not alone for state, alone in zip(states, near, strict=True)]
    inside = (masks.origins >= MARGIN_PX) & (masks.origins + masks.sizes <= np.array(masks.image_shape) - MARGIN_PX)
    crowds = np.array([bool(particle.get("iscrowd")) for particle in particles], bool)
    return np.array(known, bool) & inside.all(axis=1) & ~crowds


def _cover(
    image: np.ndarray,
    mask: CroppedMasks,
    target: Placed,
    taken: Sequence[Placed],
    rng: np.random.Generator,
    settings: CoverSettings,
) -> tuple[Placement, float] | None:
    """A particle's placement over the target in a random direction, and the target's visible fraction; None if none."""
    angle, flip = float(rng.uniform(0, 360)), FLIPS[rng.integers(len(FLIPS))]
    wanted, direction = rng.uniform(*settings.fractions), rng.uniform(0, 2 * np.pi)
    (top, left), (height, width) = mask.origins[0] - MARGIN_PX, mask.sizes[0] + 2 * MARGIN_PX
    box = (left, top, left + width, top + height)
    crop = image[top : top + height, left : left + width]
    single = Agglomerate(crop, mask.crop(box), ({},), "").turned(angle, flip)
    if len(single.masks) != 1:
        return None
    cutout, (shape, (row, column)) = cut_out(single, settings.seam), (target[0].shape, target[1])
    middle = np.array([row + shape[0] / 2, column + shape[1] / 2])
    way = np.array([np.sin(direction), np.cos(direction)])
    area, best = np.count_nonzero(target[0]), None
    for distance in np.linspace(0, (np.hypot(*shape) + np.hypot(*single.masks.sizes[0])) / 2, STEPS):
        corner = np.round(middle + distance * way - np.array(cutout.region.shape) / 2).astype(int)
        placement = Placement(0, angle, flip, single, cutout, tuple(corner.tolist()))
        (first_row, first_column, last_row, last_column) = placement.box
        if min(first_row, first_column) < 0 or last_row > image.shape[0] or last_column > image.shape[1]:
            continue
        [cover] = placement.masks_in(image.shape)
        fraction = 1 - shared_pixels(cover, target) / area
        if best is None or abs(fraction - wanted) < abs(best[1] - wanted):
            best = placement, fraction, cover
    if best is None or abs(best[1] - wanted) > settings.tolerance:
        return None
    if any(shared_pixels(best[2], other) for other in taken):
        return None
    return best[0], best[1]


def _uncovered(mask: Placed, front: np.ndarray) -> Placed:
    crop, (row, column) = mask
    return crop * ~front[row : row + crop.shape[0], column : column + crop.shape[1]], (row, column)
