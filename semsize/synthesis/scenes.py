"""Presets and their scenes: particles come to rest one by one, scattered or in chains, clumps and stacked bunches."""

from dataclasses import dataclass, field, replace

import numpy as np

from semsize.synthesis.depth import DepthBuffer, Patch, rasterise
from semsize.synthesis.populations import (
    KINDS,
    SPHERES,
    Particle,
    Population,
    Prisms,
    draw_ecds,
    draw_particle,
    vary_population,
)

REFERENCE_PIXEL_NM = 7.344  # at which the lengths of image formation were fitted
REFERENCE_AREA_PX = 1024 * 704  # particle numbers are given for a frame of this area, in px of REFERENCE_PIXEL_NM
MARGIN_PX = 20  # at a detail of 1: agglomerates begin within the frame or this far beyond it
CANDIDATES = {
    "scattered": 3,
    "chain": 5,
    "clump": 10,
    "bunch": 4,
}  # kind: positions tried for a particle


@dataclass(frozen=True)
class Preset:
    """A kind of scene. Ranges are (low, high); numbers of particles are drawn evenly in the logarithm."""

    configuration: str  # 'scattered', 'agglomerated' or 'matrix'
    particles_range: tuple[float, float]  # in a frame of REFERENCE_AREA_PX, those cut or missed by the frame included
    members_range: tuple[int, int]  # particles in an agglomerate
    kind_weights: tuple[float, float, float, float]  # of the kinds in CANDIDATES
    spheres_per_particle_range: tuple[float, float] = (0.0, 0.0)  # the matrix, not annotated
    fewest: int = 1  # particles in a frame, if its area in nm2 would give less
    most: float = np.inf  # bodies in a frame of REFERENCE_AREA_PX, at any pixel size
    largest_group: float = 1.0  # share of a frame's bodies that one agglomerate takes at most
    ecd_limit: float = np.inf  # over the frame's shorter side; the size distribution is truncated there


PRESETS = {
    "scattered": Preset("scattered", (12, 120), (1, 4), (0.7, 0.2, 0.1, 0.0)),
    "agglomerated": Preset("agglomerated", (22, 640), (2, 60), (0.06, 0.32, 0.44, 0.18)),
    "matrix": Preset("matrix", (40, 300), (2, 30), (0.2, 0.3, 0.3, 0.2), (1.0, 4.0)),
}
MIXTURE = {"agglomerated": 0.6, "scattered": 0.25, "matrix": 0.15}  # shares of the preset 'mixed', of TiO2
KIND_MIXTURE = {"agglomerated": 0.7, "scattered": 0.3}  # a matrix of spheres would be the kind itself, not annotated
VARIED = {"mixed": 0.4, "spheres": 0.15, "rods": 0.15, "plates": 0.15, "needles": 0.15}  # shares of 'varied'
VARIED_MEDIAN_FACTOR = 3.0  # the median ECD of an image of 'varied' lies up to this factor off that of its kind,
VARIED_MEDIAN_PX = 8.0  # but at this many px or more
VARIED_MEDIAN_SHARE = 0.3  # and at this share of the frame's shorter side or less
VARIED_GSD = (1.05, 1.8)  # geometric standard deviation of an image's ECDs
VARIED_CROWDING = (1.5, 6.0)  # how many times more of the frame particles cover than in the preset drawn by 'varied'
LIMITS = {"fewest": 6, "most": 600, "largest_group": 1 / 3, "ecd_limit": 0.5}  # of kinds and of 'varied'
NAMES = (*PRESETS, "mixed", *KINDS, "varied")


@dataclass(frozen=True, eq=False)
class PlacedParticle:
    """A particle at rest; its centre lies in pixel (row, column), `height` px above the substrate."""

    particle: Particle
    patch: Patch
    row: int
    column: int
    height: float
    agglomerate: int  # number of its agglomerate in the scene


@dataclass(frozen=True, eq=False)
class Scene:
    """Bodies at rest and what is seen of them; body k, in order of arrival, has id k + 1 in `buffer.ids`."""

    placed: tuple[PlacedParticle, ...]
    is_matrix: np.ndarray  # (N,) bool: part of the unannotated matrix
    buffer: DepthBuffer
    pixel_size_nm: float

    @property
    def detail(self) -> float:
        """Number of px in REFERENCE_PIXEL_NM of the specimen: above 1, the image is finer than the reference."""
        return REFERENCE_PIXEL_NM / self.pixel_size_nm

    @property
    def median_radius_px(self) -> float:
        """Median of half the bodies' ECD."""
        return float(np.median([p.particle.silhouette.ecd for p in self.placed])) / 2 / self.pixel_size_nm


@dataclass(eq=False)
class ParticleGroup:
    """An agglomerate while it grows."""

    number: int  # in the scene
    kind: str  # a key of CANDIDATES
    seed: np.ndarray  # (2,) x, y in px of its beginning
    heading: float  # radians, the direction in which a chain grows
    centres: list[np.ndarray] = field(default_factory=list)  # (2,) x, y of each member
    radii: list[float] = field(default_factory=list)  # half the ECD of each member, px


def build_scene(
    preset: Preset,
    population: Population,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
    particles: int | None = None,
) -> Scene:
    """Draw a scene in a frame of (H, W).

    If `particles` is None, their number is drawn from the preset's range, scaled to the frame's area in nm2.
    """
    count, spheres = draw_numbers(preset, shape, pixel_size_nm, rng, particles)
    is_matrix = rng.permutation(np.arange(count + spheres) >= count)
    buffer, placed = DepthBuffer(shape), []
    limit_nm = preset.ecd_limit * min(shape) * pixel_size_nm
    matrix_ecds = draw_ecds(SPHERES, len(is_matrix), rng)
    ecds = np.where(is_matrix, matrix_ecds, draw_ecds(population, len(is_matrix), rng, limit_nm))
    groups = plan_groups(preset, len(is_matrix), shape, MARGIN_PX * REFERENCE_PIXEL_NM / pixel_size_nm, rng)
    for matrix, ecd, group in zip(is_matrix, ecds, groups, strict=True):
        particle = draw_particle(SPHERES if matrix else population, float(ecd), rng)
        placed.append(add_particle(particle, group, len(placed) + 1, buffer, pixel_size_nm, rng))
    return Scene(tuple(placed), is_matrix, buffer, pixel_size_nm)


def choose_scene(
    name: str,
    population: Population,
    variety: float,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> tuple[Preset, Population]:
    """Draw the preset and the population of one image of the preset `name` of NAMES, in a frame of (H, W).

    `population` is TiO2's; images of PRESETS and 'mixed' show it, changed by `variety`. For KINDS and 'varied' the
    number of particles follows from their sizes, so that the covered share of the frame does not depend on the sizes.
    """
    kind = _drawn(VARIED, rng) if name == "varied" else name
    if kind in KINDS:
        preset, population = PRESETS[_drawn(KIND_MIXTURE, rng)], KINDS[kind]
    else:
        preset = PRESETS[_drawn(MIXTURE, rng) if kind == "mixed" else kind]
    population = vary_population(population, variety, rng)
    if isinstance(population, Prisms):
        population = population.of_one_form(rng)
    if name == "varied":
        population = vary_sizes(population, min(shape) * pixel_size_nm, pixel_size_nm, rng)
    if name == "varied" or kind in KINDS:
        fuller = Population().mean_area_nm2 / population.mean_area_nm2
        if name == "varied":
            fuller *= np.exp(rng.uniform(*np.log(VARIED_CROWDING)))
        low, high = preset.particles_range
        preset = replace(preset, particles_range=(low * fuller, high * fuller), **LIMITS)
    return preset, population


def vary_sizes(population: Population, side_nm: float, pixel_size_nm: float, rng: np.random.Generator) -> Population:
    """Draw the sizes of one image of 'varied', in a frame whose shorter side is `side_nm`; return the population.

    The logarithms of median and geometric standard deviation are uniform.
    """
    high = min(population.ecd_median_nm * VARIED_MEDIAN_FACTOR, VARIED_MEDIAN_SHARE * side_nm)
    low = min(max(population.ecd_median_nm / VARIED_MEDIAN_FACTOR, VARIED_MEDIAN_PX * pixel_size_nm), high)
    median, gsd = np.exp(rng.uniform(*np.log([(low, VARIED_GSD[0]), (high, VARIED_GSD[1])])))
    return replace(population, ecd_median_nm=float(median), ecd_gsd=float(gsd))


def _drawn(shares: dict[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def draw_numbers(
    preset: Preset, shape: tuple[int, int], pixel_size_nm: float, rng: np.random.Generator, particles: int | None
) -> tuple[int, int]:
    """Draw the numbers of particles (`particles`, if given) and of spheres of the matrix in a frame of (H, W)."""
    if particles is not None:
        return particles, round(particles * rng.uniform(*preset.spheres_per_particle_range))
    frame = shape[0] * shape[1] / REFERENCE_AREA_PX
    wanted = _log_uniform(preset.particles_range, rng) * frame * (pixel_size_nm / REFERENCE_PIXEL_NM) ** 2
    particles = max(preset.fewest, round(wanted))
    spheres = round(particles * rng.uniform(*preset.spheres_per_particle_range))
    share = min(1.0, preset.most * frame / (particles + spheres))
    return max(1, round(particles * share)), round(spheres * share)


def plan_groups(
    preset: Preset, count: int, shape: tuple[int, int], margin_px: float, rng: np.random.Generator
) -> list[ParticleGroup]:
    """Draw the agglomerate that each of `count` bodies will join; one agglomerate is filled after another.

    An agglomerate begins within the frame (H, W) or up to `margin_px` beyond it.
    """
    weights = np.array(preset.kind_weights) / sum(preset.kind_weights)
    plan: list[ParticleGroup] = []
    number = 0
    while len(plan) < count:
        kind = list(CANDIDATES)[rng.choice(len(CANDIDATES), p=weights)]
        size = 1 if kind == "scattered" else round(_log_uniform(preset.members_range, rng))
        size = min(size, int(np.ceil(preset.largest_group * count)))
        seed = rng.uniform(-margin_px, np.array(shape[::-1]) + margin_px)
        plan += [ParticleGroup(number, kind, seed, rng.uniform(0, 2 * np.pi))] * min(size, count - len(plan))
        number += 1
    return plan


def add_particle(
    particle: Particle,
    group: ParticleGroup,
    identity: int,
    buffer: DepthBuffer,
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> PlacedParticle:
    """Let a particle down at that of several positions beside its agglomerate's members where it comes to rest lowest.

    In a clump, positions near the seed are preferred. The particle joins `group`, and `buffer` under `identity`.
    """
    radius = particle.silhouette.ecd / 2 / pixel_size_nm
    patch = rasterise(particle, pixel_size_nm, tuple(rng.random(2)))
    candidates = candidate_positions(group, radius, rng)
    rests = [buffer.rest_height(patch, int(np.floor(y)), int(np.floor(x))) for x, y in candidates]
    reach = np.hypot(*(candidates - group.seed).T) if group.kind == "clump" else np.zeros(len(candidates))
    best = int(np.argmin(np.array(rests) + 0.5 * reach))
    sintered = rng.uniform(0.0, 0.15) * radius * (rests[best] > 1.2 * radius)  # px into what carries it
    height = rests[best] - sintered
    column, row = (int(np.floor(along)) for along in candidates[best])
    buffer.place(patch, row, column, height, identity)
    group.centres.append(candidates[best])
    group.radii.append(radius)
    return PlacedParticle(particle, patch, row, column, height, group.number)


def candidate_positions(group: ParticleGroup, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Draw positions (C, 2) as x, y where a particle of this radius in px may join an agglomerate.

    The first particle comes to the seed, later ones come beside (in a bunch: upon) the members.
    """
    count = CANDIDATES[group.kind]
    if not group.centres:
        return group.seed[None] + rng.normal(0, 2 * radius, (count, 2)) * (group.kind == "scattered")
    if group.kind == "bunch":
        spread = 0.68 * np.sqrt(np.sum(np.square(group.radii)))
        return group.seed + rng.normal(0, spread, (count, 2))
    last = len(group.centres) - 1
    if group.kind == "chain":
        anchors = np.where(rng.random(count) < 0.85, last, rng.integers(last + 1, size=count))
        angles = group.heading + rng.normal(0, 0.7, count)
        group.heading = float(angles[0])
    else:
        anchors = rng.integers(last + 1, size=count)
        angles = rng.uniform(0, 2 * np.pi, count)
    distances = (np.array(group.radii)[anchors] + radius) * rng.uniform(0.7, 1.0, count)
    return np.array(group.centres)[anchors] + distances[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between the limits (> 0), its logarithm uniform."""
    return float(np.exp(rng.uniform(*np.log(limits))))
