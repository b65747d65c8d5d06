"""Draws particles: log-normal sizes, aspect ratios, body shapes and orientations, of TiO2 and of other kinds."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from semsize.synthesis.bodies import (
    DIRECTIONS,
    Body,
    Silhouette,
    even_directions,
    rounded_polyhedron,
    silhouette_of,
    superellipsoid,
    union_silhouette,
)


@dataclass(frozen=True)
class Population:
    """Size and shape distributions of a powder; defaults are fitted to images of TiO2 (docs/notebook/rendering.md)."""

    ecd_median_nm: float = 203.0  # ECD of the full silhouette
    ecd_gsd: float = 1.40  # geometric standard deviation
    elongation_median: float = 0.32  # of (longest / middle axis) - 1, log-normal
    elongation_gsd: float = 2.1
    flatness_median: float = 0.15  # of (middle / shortest axis) - 1, log-normal
    flatness_gsd: float = 2.0
    polyhedron_share: float = 0.8  # the rest are superellipsoids
    superellipsoid_exponents: tuple[int, ...] = (2, 3)  # drawn evenly; 2 is the ellipsoid
    twin_share: float = 0.3  # of particles that are two bodies grown into one another
    knob_share: float = 0.1  # of particles that are three to five bodies grown into one another: concave, lumpy
    notch_median: float = 0.005  # relative depth of the notches in a silhouette, log-normal
    notch_gsd: float = 2.2
    directions: ClassVar[int] = DIRECTIONS  # number of radii of a silhouette

    @property
    def mean_area_nm2(self) -> float:
        """Mean area of the full silhouettes, by the moments of a log-normal distribution (ISO 9276-5)."""
        return float(np.pi / 4 * self.ecd_median_nm**2 * np.exp(2 * np.log(self.ecd_gsd) ** 2))

    def draw_body(self, rng: np.random.Generator) -> Body:
        """Draw a convex body of about unit radius, oriented."""
        semi_axes = draw_semi_axes(self, rng)
        rotation = draw_rotation(semi_axes, rng)
        if rng.random() < self.polyhedron_share:
            faces, exponent = draw_faces(rng), int(rng.choice((3, 5, 9), p=(0.25, 0.5, 0.25)))
            return rounded_polyhedron(faces, semi_axes, rotation, exponent)
        return superellipsoid(semi_axes, rotation, int(rng.choice(self.superellipsoid_exponents)))


SPHERES = Population(
    200.0,
    1.06,
    elongation_median=0.02,
    elongation_gsd=1.5,
    flatness_median=0.02,
    flatness_gsd=1.5,
    polyhedron_share=0.0,
    superellipsoid_exponents=(2,),
    twin_share=0.0,
    knob_share=0.0,
    notch_median=0.0,
)


@dataclass(frozen=True)
class Prisms(Population):
    """Rounded prisms at rest: rods, needles, plates, boxes; axis ratios are drawn uniformly in the logarithm."""

    elongation_range: tuple[float, float] = (1.0, 1.0)  # longest / middle axis
    flatness_range: tuple[float, float] = (1.0, 1.0)  # middle / shortest axis
    along: str = "x"  # the prism's axis: 'x', the longest semi-axis, or 'z', the shortest
    sides: tuple[int, ...] = (4,)  # of the polygon, one drawn per image
    exponents: tuple[int, ...] = (9,)  # of the bodies, one drawn per image: the larger, the sharper the edges
    tilt_std: float = 0.1  # radians, normal, out of the substrate's plane
    loose_share: float = 0.0  # of prisms that lie as irregular bodies do, not flat

    @property
    def directions(self) -> int:
        """Number of radii: an end of a silhouette of aspect ratio a spans 2 / a radians and needs twenty radii."""
        aspect = max(self.elongation_range[1], self.flatness_range[1])
        return DIRECTIONS * (1 if aspect <= 2 else 2 if aspect <= 8 else 4)

    def of_one_form(self, rng: np.random.Generator) -> "Prisms":
        """Draw the population of one image, whose prisms have the same number of sides and equally sharp edges."""
        return replace(self, sides=(int(rng.choice(self.sides)),), exponents=(int(rng.choice(self.exponents)),))

    def draw_body(self, rng: np.random.Generator) -> Body:
        """Draw a prism of about unit radius, oriented."""
        elongation, flatness = np.exp(rng.uniform(*np.log([self.elongation_range, self.flatness_range]).T))
        semi_axes = np.array([elongation, 1.0, 1 / flatness])
        if rng.random() < self.loose_share:
            rotation = draw_rotation(semi_axes, rng)
        else:
            yaw, roll = rng.uniform(0, 2 * np.pi, 2)
            turns = [yaw, rng.normal(0, self.tilt_std), roll]
            rotation = Rotation.from_euler("ZY" + self.along.upper(), turns).as_matrix()
        normals = prism_normals(int(rng.choice(self.sides)), self.along)
        return rounded_polyhedron(normals, semi_axes, rotation, int(rng.choice(self.exponents)))


def prism_normals(sides: int, along: str) -> np.ndarray:
    """Return (sides + 2, 3) unit normals of a regular prism about the axis 'x' or 'z'; the first is along y or x."""
    angles = 2 * np.pi * np.arange(sides) / sides
    around = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1)
    normals = np.concatenate([around, [[0, 0, 1], [0, 0, -1]]])
    return normals if along == "z" else np.roll(normals, 1, axis=1)


_WHOLE = {"twin_share": 0.0, "knob_share": 0.0}
KINDS: dict[str, Population] = {
    "spheres": replace(SPHERES, ecd_median_nm=203.0, ecd_gsd=1.2),
    "rods": Prisms(
        ecd_gsd=1.3,
        elongation_range=(2, 4),
        sides=(4, 6, 8),
        exponents=(5, 9),
        loose_share=0.1,
        notch_median=0.002,
        **_WHOLE,
    ),
    "plates": Prisms(
        ecd_gsd=1.35,
        elongation_range=(1, 1.4),
        flatness_range=(3, 7),
        along="z",
        sides=(6, 6, 8, 12),  # not 4: from above they would be the cubes that are kept for testing
        exponents=(9, 17),
        tilt_std=0.2,
        loose_share=0.15,
        notch_median=0.003,
        **_WHOLE,
    ),
    "needles": Prisms(
        ecd_gsd=1.3,
        elongation_range=(5, 10),
        sides=(4, 6),
        exponents=(3, 5, 9),
        tilt_std=0.06,
        notch_median=0.0,
        **_WHOLE,
    ),
    # kept for testing: never part of a mixture that a network learns from
    "cubes": Prisms(
        ecd_gsd=1.15,
        elongation_range=(1, 1.1),
        flatness_range=(1, 1.1),
        along="z",
        exponents=(9, 17),
        loose_share=0.25,
        notch_median=0.001,
        **_WHOLE,
    ),
}


@dataclass(frozen=True, eq=False)
class Lobe:
    """One convex body of a particle, oriented; lengths in the particle's unit."""

    body: Body
    silhouette: Silhouette  # of the body alone, around its own centre
    centre: np.ndarray  # (3,) x, y, z in the particle

    def scaled(self, factor: float) -> "Lobe":
        """The same lobe in a particle `factor` times as large."""
        return Lobe(self.body.scaled(factor), self.silhouette.scaled(factor), self.centre * factor)


@dataclass(frozen=True, eq=False)
class Particle:
    """One body or a few grown into one another, oriented, in nm; the origin lies within every body."""

    lobes: tuple[Lobe, ...]
    silhouette: Silhouette  # of all bodies together

    def scaled(self, factor: float) -> "Particle":
        """The same particle, `factor` times as large."""
        return Particle(tuple(lobe.scaled(factor) for lobe in self.lobes), self.silhouette.scaled(factor))


def vary_population(population: Population, variety: float, rng: np.random.Generator) -> Population:
    """Draw one image's population: the given one at variety 1; above, another median, more spread, longer bodies."""
    beyond = variety - 1
    if beyond <= 0:
        return population
    return replace(
        population,
        ecd_median_nm=population.ecd_median_nm * np.exp(0.25 * beyond * rng.uniform(-1, 1)),
        ecd_gsd=population.ecd_gsd ** (1 + 0.5 * beyond * rng.uniform()),
        elongation_median=population.elongation_median * (1 + beyond * rng.uniform()),
        twin_share=population.twin_share * rng.uniform(),
        knob_share=population.knob_share * rng.uniform(),
    )


def draw_ecds(population: Population, count: int, rng: np.random.Generator, limit_nm: float = np.inf) -> np.ndarray:
    """Draw (count,) equivalent circular diameters in nm, log-normal (ISO 9276-5) and truncated at `limit_nm`."""
    spread, z = np.log(population.ecd_gsd), rng.standard_normal(count)
    if np.isfinite(limit_nm):
        z = ndtri(ndtr(z) * ndtr(np.log(limit_nm / population.ecd_median_nm) / spread))
    return population.ecd_median_nm * np.exp(spread * z)


def draw_particle(population: Population, ecd_nm: float, rng: np.random.Generator) -> Particle:
    """Draw a particle of random shape and orientation, then scale it so that its silhouette has exactly this ECD."""
    bodies = [population.draw_body(rng)]
    kind = rng.random()
    if kind < population.twin_share + population.knob_share:
        others = 1 if kind < population.twin_share else int(rng.integers(2, 5))
        bodies += [population.draw_body(rng).scaled(rng.uniform(0.5, 1.0)) for _ in range(others)]
    notches = population.notch_median * population.notch_gsd ** rng.standard_normal()
    particle = join(bodies, min(notches, 0.06), rng, population.directions)
    return particle.scaled(ecd_nm / particle.silhouette.ecd)


def join(bodies: list[Body], notches: float, rng: np.random.Generator, directions: int = DIRECTIONS) -> Particle:
    """Make a particle of one body, or of several that overlap, moved apart in directions near the substrate's plane.

    Args:
        bodies: oriented bodies, each around the origin.
        notches: relative depth of the notches in their silhouettes; where a notch cuts a body off, its side is upright.
        rng: draws the notches and the places of the bodies.
        directions: number of radii of the silhouettes.
    """
    silhouettes = [silhouette_of(body, directions) for body in bodies]
    if notches > 0:
        silhouettes = [silhouette.notched(notches, rng) for silhouette in silhouettes]
    if len(bodies) == 1:
        return Particle((Lobe(bodies[0], silhouettes[0], np.zeros(3)),), silhouettes[0])
    turns = (np.arange(len(bodies)) + rng.uniform(-0.25, 0.25, len(bodies)) * (len(bodies) > 2)) / len(bodies)
    angles = 2 * np.pi * (turns + rng.random())
    slopes = rng.normal(0, 0.3) * np.cos(2 * np.pi * turns)
    ways = np.stack([np.cos(angles), np.sin(angles), slopes], axis=1)
    shares = rng.uniform(0.4, 0.85, len(bodies))  # below 1, so that the origin stays within every body
    centres = [s * o.radii.min() * d for s, o, d in zip(shares, silhouettes, ways, strict=True)]
    lobes = tuple(Lobe(*parts) for parts in zip(bodies, silhouettes, centres, strict=True))
    return Particle(lobes, union_silhouette(silhouettes, np.array(centres)[:, :2]))


def draw_semi_axes(population: Population, rng: np.random.Generator) -> np.ndarray:
    """Draw (3,) semi-axes in falling order, the middle one 1."""
    excess = rng.standard_normal(2)
    elongation = population.elongation_median * population.elongation_gsd ** excess[0]
    flatness = population.flatness_median * population.flatness_gsd ** excess[1]
    return np.array([1 + min(elongation, 1.8), 1.0, 1 / (1 + min(flatness, 1.0))])


def draw_faces(rng: np.random.Generator) -> np.ndarray:
    """Draw (K, 3) face normals over distances of an irregular polyhedron with 10 to 18 faces around the origin."""
    count = int(rng.integers(10, 19))
    normals = even_directions(count) @ uniform_rotation(rng).T
    normals = normals + rng.normal(0, 0.12, normals.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / rng.uniform(0.9, 1.1, (count, 1))


def draw_rotation(semi_axes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the rotation of a body at rest: of three uniform rotations, the one with its ellipsoid lowest."""
    rotations = [uniform_rotation(rng) for _ in range(3)]
    return min(rotations, key=lambda rotation: float(np.sum((rotation[2] * semi_axes) ** 2)))


def uniform_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a (3, 3) rotation matrix uniformly over all rotations, from a random unit quaternion."""
    w, x, y, z = (quaternion := rng.standard_normal(4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
