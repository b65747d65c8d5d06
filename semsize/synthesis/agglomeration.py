"""How particles come together: scattered, chains, clumps and stacked bunches, grown particle by particle."""

from dataclasses import dataclass, field

import numpy as np

from semsize.synthesis.depth import DepthBuffer
from semsize.synthesis.patches import Patch, rasterise
from semsize.synthesis.populations import Particle

KINDS = ("scattered", "chain", "clump", "bunch")
CANDIDATES = {"scattered": 3, "chain": 5, "clump": 10, "bunch": 4}  # places tried for each particle


@dataclass(frozen=True, eq=False)
class Placed:
    """A particle at rest: its patch stands with the centre in pixel (row, column), `height` px above the substrate."""

    particle: Particle
    patch: Patch
    row: int
    column: int
    height: float
    agglomerate: int


@dataclass(eq=False)
class Agglomerate:
    """A growing group of touching particles."""

    kind: str  # one of KINDS
    seed: np.ndarray  # (2,) x, y in px of its beginning
    heading: float  # radians, the direction in which a chain grows
    centres: list[np.ndarray] = field(default_factory=list)  # (2,) x, y of each member
    radii: list[float] = field(default_factory=list)  # half the ECD of each member, px


def add_particle(
    particle: Particle,
    group: Agglomerate,
    number: int,
    buffer: DepthBuffer,
    placed: list[Placed],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> None:
    """Lets one particle down where, of some places beside its agglomerate's members, it comes to rest lowest.

    Args:
        particle: the body.
        group: the agglomerate that it joins; grows by it.
        number: running number of the agglomerate in the image.
        buffer: the heap so far; receives the particle under id len(placed) + 1.
        placed: all particles so far; receives this one.
        pixel_size_nm: edge of a pixel.
        rng: draws places.
    """
    radius = particle.outline.ecd / 2 / pixel_size_nm
    patch = rasterise(particle, pixel_size_nm, tuple(rng.random(2)))
    places = candidate_places(group, radius, rng)
    rests = [buffer.rest_height(patch, int(np.floor(y)), int(np.floor(x))) for x, y in places]
    reach = np.hypot(*(places - group.seed).T) if group.kind == "clump" else np.zeros(len(places))
    best = int(np.argmin(np.array(rests) + 0.5 * reach))
    x, y = places[best]
    height = rests[best] - rng.uniform(0.0, 0.15) * radius * (
        rests[best] > 1.2 * radius
    )  # sintered into what carries it
    row, column = int(np.floor(y)), int(np.floor(x))
    buffer.place(patch, row, column, height, len(placed) + 1)
    placed.append(Placed(particle, patch, row, column, height, number))
    group.centres.append(places[best])
    group.radii.append(radius)


def candidate_places(group: Agglomerate, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Places where a particle of this radius in px may join, (C, 2) as x, y.

    The first lies at the seed, later ones beside (in a bunch upon) the members.
    """
    count = CANDIDATES[group.kind]
    if not group.centres:
        return group.seed[None] + rng.normal(0, 2 * radius, (count, 2)) * (group.kind == "scattered")
    if group.kind == "bunch":
        spread = 0.68 * np.sqrt(np.sum(np.square(group.radii)))
        return group.seed + rng.normal(0, spread, (count, 2))
    if group.kind == "chain":
        anchors = np.where(
            rng.random(count) < 0.85, len(group.centres) - 1, rng.integers(len(group.centres), size=count)
        )
        angles = group.heading + rng.normal(0, 0.7, count)
        group.heading = float(angles[0])
    else:
        anchors = rng.integers(len(group.centres), size=count)
        angles = rng.uniform(0, 2 * np.pi, count)
    distances = (np.array(group.radii)[anchors] + radius) * rng.uniform(0.7, 1.0, count)
    return np.array(group.centres)[anchors] + distances[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
