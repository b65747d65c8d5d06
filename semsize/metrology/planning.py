"""How many particles a target uncertainty needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semsize.metrology.budget import Budget, coverage_factor, effective_dof

_MOST = 2**20
"""Times as many images, from which on more are no help."""


@dataclass(frozen=True)
class ParticlesNeeded:
    """What a target takes, at the present number of particles an image.

    Attributes:
        target_relative: U / value aimed at.
        particles: in number; None where none are enough.
        images: likewise.
        reason: why none are enough; empty otherwise.
    """

    target_relative: float
    particles: int | None
    images: int | None
    reason: str = ""


def particles_needed(budget: Budget, target_relative: float, particles: int, images: int) -> ParticlesNeeded:
    """Particles and images from which the expanded uncertainty of a statistic meets a target.

    The variance of sampling falls, and its degrees of freedom rise, with the number of images; all other lines stay.

    Args:
        budget: of the present measurement.
        target_relative: U / value aimed at, > 0.
        particles: present number.
        images: present number; with a single one more of the same image are meant.
    """
    sampling = budget.lines[0]
    if not math.isfinite(budget.combined_std):
        return ParticlesNeeded(target_relative, None, None, "the present sample is too small to tell")
    others = [line for line in budget.lines[1:] if line.std is not None]

    def relative(count: int) -> float:
        more = count / images
        stds = [sampling.std / math.sqrt(more), *(line.std for line in others)]
        dof = count - 1 if images > 1 else (sampling.dof + 1) * more - 1
        return (
            coverage_factor(effective_dof(stds, [max(dof, 1), *(line.dof for line in others)]))
            * math.hypot(*stds)
            / abs(budget.value)
        )

    low, high = (1 if images > 1 else 0), max(images, 2)
    while relative(high) > target_relative:
        low, high = high, 2 * high
        if high > images * _MOST:
            reason = "calibration, reference and model alone exceed the target"
            return ParticlesNeeded(target_relative, None, None, reason)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if relative(middle) <= target_relative else (middle, high)
    return ParticlesNeeded(target_relative, math.ceil(particles * high / images), high)
