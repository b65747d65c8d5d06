"""Builds a scene: particles grown into agglomerates on a substrate, with the depth buffer that shows them."""

from dataclasses import dataclass

import numpy as np

from semsize.synthesis.agglomeration import KINDS, Agglomerate, Placed, add_particle
from semsize.synthesis.depth import DepthBuffer
from semsize.synthesis.populations import SPHERES, Population, draw_ecds, draw_particle
from semsize.synthesis.presets import REFERENCE_AREA_PX, Preset

MARGIN_PX = 20  # agglomerates begin within the frame or this far beyond it


@dataclass(frozen=True, eq=False)
class Scene:
    """Bodies at rest and what is seen of them. Body k, in order of arrival, has id k + 1 in `buffer.ids`."""

    placed: tuple[Placed, ...]
    is_matrix: np.ndarray  # (N,) bool: part of the unannotated matrix
    buffer: DepthBuffer
    pixel_size_nm: float

    @property
    def median_radius_px(self) -> float:
        """Median of half the bodies' ECD."""
        return float(np.median([p.particle.outline.ecd for p in self.placed])) / 2 / self.pixel_size_nm


def build_scene(
    preset: Preset,
    population: Population,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
    particles: int | None = None,
) -> Scene:
    """Draws a scene.

    Args:
        preset: the kind of scene.
        population: sizes and shapes of the particles.
        shape: (H, W) of the frame.
        pixel_size_nm: edge of a pixel.
        rng: draws everything.
        particles: number of particles; drawn from the preset's range by the frame's area if None.
    """
    scale = shape[0] * shape[1] / REFERENCE_AREA_PX
    count = max(1, round(_log_uniform(preset.particles_range, rng) * scale)) if particles is None else particles
    spheres = round(count * rng.uniform(*preset.spheres_per_particle_range))
    is_matrix = rng.permutation(np.arange(count + spheres) >= count)
    buffer, placed = DepthBuffer(shape), []
    ecds = np.where(is_matrix, draw_ecds(SPHERES, len(is_matrix), rng), draw_ecds(population, len(is_matrix), rng))
    groups = plan_groups(preset, len(is_matrix), shape, rng)
    for matrix, ecd, group in zip(is_matrix, ecds, groups, strict=True):
        particle = draw_particle(SPHERES if matrix else population, float(ecd), rng)
        add_particle(particle, group[1], group[0], buffer, placed, pixel_size_nm, rng)
    return Scene(tuple(placed), is_matrix, buffer, pixel_size_nm)


def plan_groups(
    preset: Preset, count: int, shape: tuple[int, int], rng: np.random.Generator
) -> list[tuple[int, Agglomerate]]:
    """For each of `count` bodies the number and the agglomerate that it will join, agglomerate after agglomerate."""
    weights = np.array(preset.kind_weights) / sum(preset.kind_weights)
    plan: list[tuple[int, Agglomerate]] = []
    number = 0
    while len(plan) < count:
        kind = KINDS[rng.choice(len(KINDS), p=weights)]
        size = 1 if kind == "scattered" else round(_log_uniform(preset.members_range, rng))
        seed = rng.uniform(-MARGIN_PX, np.array(shape[::-1]) + MARGIN_PX)
        group = Agglomerate(kind, seed, rng.uniform(0, 2 * np.pi))
        plan += [(number, group)] * min(size, count - len(plan))
        number += 1
    return plan


def _log_uniform(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """A number between the limits (> 0), its logarithm uniform."""
    return float(np.exp(rng.uniform(*np.log(limits))))
