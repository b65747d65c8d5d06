"""What to render: how many particles, how they stick together, and the ranges of the microscope's settings."""

from dataclasses import dataclass

import numpy as np

REFERENCE_AREA_PX = 1024 * 704  # particle numbers are given for a frame of this area


@dataclass(frozen=True)
class Preset:
    """A kind of scene. Ranges are (low, high); numbers of particles are drawn evenly in the logarithm."""

    configuration: str  # 'scattered', 'agglomerated' or 'matrix'
    particles_range: tuple[int, int]  # in a frame of REFERENCE_AREA_PX, those cut or missed by the frame included
    members_range: tuple[int, int]  # of an agglomerate
    kind_weights: tuple[float, float, float, float]  # scattered, chain, clump, bunch
    spheres_per_particle_range: tuple[float, float] = (0.0, 0.0)  # of the matrix, not annotated


PRESETS = {
    "scattered": Preset("scattered", (12, 120), (1, 4), (0.7, 0.2, 0.1, 0.0)),
    "agglomerated": Preset("agglomerated", (22, 640), (2, 60), (0.06, 0.32, 0.44, 0.18)),
    "matrix": Preset("matrix", (40, 300), (2, 30), (0.2, 0.3, 0.3, 0.2), (1.0, 4.0)),
}
MIXTURE = {"agglomerated": 0.6, "scattered": 0.25, "matrix": 0.15}  # shares of the preset 'mixed'
PRESET_NAMES = (*PRESETS, "mixed")


def choose_preset(name: str, rng: np.random.Generator) -> Preset:
    """The preset of this name; for 'mixed' one drawn by its share in MIXTURE."""
    return PRESETS[str(rng.choice(list(MIXTURE), p=list(MIXTURE.values())))] if name == "mixed" else PRESETS[name]


@dataclass(frozen=True)
class Microscope:
    """One image's settings; grey levels are 0-255."""

    substrate_level: float  # grey level of the bare membrane
    particle_level: float  # grey level of a flat face of TiO2
    matrix_contrast: float  # yield of the matrix relative to TiO2
    tilt_exponent: float
    edge_yield: float  # on an outline
    edge_px: float  # width of the bright rim
    azimuth: float  # radians, the side on which the detector stands
    asymmetry: float  # relative difference of signal between its side and the mean
    translucency: float  # share of a covered edge's extra signal that comes through
    roughness: float  # relative unevenness of the particles' faces
    shadow_strength: float
    gap_strength: float  # the same in narrow gaps
    charging_std: float  # relative spread of brightness between agglomerates
    texture: float  # contrast of the membrane's wrinkles relative to its level
    wrinkle_px: float
    debris: float  # crumbs on the substrate in a frame of REFERENCE_AREA_PX
    probe_px: float  # standard deviation of the probe
    skirt: float  # share of the signal from around it
    electrons_per_level: float
    read_noise: float  # grey levels
    noise_correlation_px: float
    jitter_px: float
    highlight_knee: float  # grey level from which emission limits itself
    streaks: float  # bands and streaks along scan lines, relative, on a particle charged to twice the normal signal
    gamma: float


MICROSCOPE_RANGES = {
    "azimuth": (2.2, 3.8),
    "substrate_level": (13.5, 38),
    "particle_level": (67, 103),
    "matrix_contrast": (0.5, 0.75),
    "tilt_exponent": (0.5, 0.68),
    "edge_yield": (3.1, 3.7),
    "edge_px": (0.5, 0.75),
    "asymmetry": (0.18, 0.32),
    "translucency": (0, 0.1),
    "roughness": (0.025, 0.05),
    "shadow_strength": (0.42, 0.68),
    "gap_strength": (0.12, 0.2),
    "charging_std": (0.2, 0.34),
    "texture": (0.6, 1.6),
    "wrinkle_px": (2.2, 3.8),
    "debris": (1, 12),
    "probe_px": (0.45, 0.51),
    "skirt": (0.02, 0.06),
    "electrons_per_level": (6.2, 8),
    "read_noise": (0.4, 0.9),
    "noise_correlation_px": (0.1, 0.3),
    "jitter_px": (0, 0.06),
    "highlight_knee": (185, 225),
    "streaks": (0.02, 0.08),
    "gamma": (0.96, 1.04),
}
"""Lowest and highest setting seen in real images (docs/notebook/rendering.md)."""


def draw_microscope(rng: np.random.Generator, variety: float = 1.0) -> Microscope:
    """Settings of one image, each drawn evenly within its range.

    Args:
        rng: Draws them.
        variety: By what factor the ranges are wider than real images are, in the logarithm, about their middle.
    """
    return Microscope(**{name: rng.uniform(*_range(name, variety)) for name in Microscope.__dataclass_fields__})


def _range(name: str, variety: float) -> tuple[float, float]:
    low, high = MICROSCOPE_RANGES[name]
    middle = (low + high) / 2
    if name == "azimuth":  # any direction at a variety of 3
        return middle - (middle - low) * variety**1.3, middle + (high - middle) * variety**1.3
    return low * (low / middle) ** (variety - 1), high * (high / middle) ** (variety - 1)
