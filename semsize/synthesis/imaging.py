"""Takes the image of a scene: applies the effects of `formation` with a microscope's settings, to 8-bit grey levels."""

from dataclasses import dataclass, field, fields, replace

import cv2
import numpy as np

from semsize.sem.degradation import add_poisson_gaussian_noise, adjust_contrast, jitter_lines
from semsize.synthesis import formation
from semsize.synthesis.depth import DepthBuffer
from semsize.synthesis.scenes import REFERENCE_AREA_PX, Scene

TILT_CEILING = 1.75  # greatest yield of a tilted face, away from edges
CEILING = 300.0  # grey level that no emission exceeds
RIM_SPREAD = np.float32(0.55)  # standard deviation of the logarithm of a rim's brightness along the rim
RIM_SHADOW = 4.0  # strength of `shadowing` for rims, which fade where neighbours stand close
RIM_LOSS = np.float32(0.5)  # exponent by which rims fade on charged bodies, which draw slow electrons back
COURSES = 61  # different courses of charging in an image


def _between(low: float, high: float) -> float:
    return field(metadata={"range": (low, high)})


@dataclass(frozen=True)
class Microscope:
    """The settings of one image; ranges run from the lowest to the highest in real images (docs/notebook/rendering.md).

    Levels are grey levels, 0-255.
    """

    substrate_level: float = _between(13.5, 38)  # grey level of the bare membrane
    particle_level: float = _between(67, 103)  # grey level of a flat face of TiO2
    matrix_contrast: float = _between(0.5, 0.75)  # yield of the matrix relative to TiO2
    tilt_exponent: float = _between(0.5, 0.68)
    edge_yield: float = _between(3.1, 3.7)  # on the edge of a silhouette
    edge_px: float = _between(0.5, 0.75)  # width of the bright rim
    azimuth: float = _between(2.2, 3.8)  # radians, the side on which the detector stands
    asymmetry: float = _between(0.18, 0.32)  # relative difference of signal between the detector's side and the mean
    translucency: float = _between(0, 0.1)  # share of a covered edge's extra signal that comes through
    roughness: float = _between(0.025, 0.05)  # relative unevenness of the particles' faces
    shadow_strength: float = _between(0.42, 0.68)  # of `shadowing` over 1.5 median radii
    gap_strength: float = _between(0.12, 0.2)  # of `shadowing` over 0.5 median radii: narrow gaps
    charging_std: float = _between(0.2, 0.34)  # relative spread of brightness between agglomerates
    texture: float = _between(0.6, 1.6)  # contrast of the membrane's wrinkles relative to its level
    wrinkle_px: float = _between(2.2, 3.8)
    debris: float = _between(1, 12)  # crumbs on the substrate in a frame of REFERENCE_AREA_PX
    probe_px: float = _between(0.45, 0.51)  # standard deviation of the probe
    skirt: float = _between(0.02, 0.06)  # share of the signal from around the probe
    electrons_per_level: float = _between(6.2, 8)
    read_noise: float = _between(0.4, 0.9)  # grey levels
    noise_correlation_px: float = _between(0.1, 0.3)
    jitter_px: float = _between(0, 0.06)
    highlight_knee: float = _between(185, 225)  # grey level above which emission limits itself
    streaks: float = _between(0.02, 0.08)  # relative, along scan lines, on a particle charged to twice the signal
    gamma: float = _between(0.96, 1.04)


def draw_microscope(rng: np.random.Generator, variety: float = 1.0) -> Microscope:
    """Draw the settings of one image, each uniformly within its range.

    The ranges are `variety` times as wide as in real images, in the logarithm, about their middle.
    """
    ranges = {setting.name: setting.metadata["range"] for setting in fields(Microscope)}
    return Microscope(**{name: rng.uniform(*_widened(name, *ranges[name], variety)) for name in ranges})


def _widened(name: str, low: float, high: float, variety: float) -> tuple[float, float]:
    middle = (low + high) / 2
    if name == "azimuth":  # any direction at a variety of 3
        return middle - (middle - low) * variety**1.3, middle + (high - middle) * variety**1.3
    return low * (low / middle) ** (variety - 1), high * (high / middle) ** (variety - 1)


def magnified(microscope: Microscope, detail: float) -> Microscope:
    """Return the settings for an image in which the specimen's lengths are `detail` times as many px.

    Jitter and noise belong to the instrument and stay. At coarser pixels the probe stays as many px wide, at finer ones
    it grows by the root of `detail`, to 1 px at 1.8 nm a pixel, because probes are 1 to 2 nm wide at best.
    """
    return replace(
        microscope,
        edge_px=microscope.edge_px * detail,
        wrinkle_px=microscope.wrinkle_px * detail,
        probe_px=microscope.probe_px * max(1.0, detail) ** 0.5,
    )


def take_image(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Return the image of a scene, (H, W) uint8; lengths in `microscope` are those at REFERENCE_PIXEL_NM."""
    microscope = magnified(microscope, scene.detail)
    level = detector_signal(scene, microscope, rng)
    level = formation.probe_blur(level, microscope.probe_px, microscope.skirt, scene.detail)
    level = jitter_lines(level, microscope.jitter_px, rng)
    level = adjust_contrast(level, gamma=microscope.gamma)
    level = add_poisson_gaussian_noise(
        level, microscope.electrons_per_level, microscope.read_noise, rng, microscope.noise_correlation_px
    )
    return np.rint(level).astype(np.uint8)


def detector_signal(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Return the signal before blur and noise, (H, W) float32 in grey levels, not clipped."""
    ids = scene.buffer.ids
    levels = body_levels(scene, microscope, rng)
    radius = scene.median_radius_px
    rims = rim_yields(scene.buffer.heights, radius, microscope, scene.detail, rng)
    suppressed = np.maximum(levels / np.float32(microscope.particle_level), 1) ** -RIM_LOSS
    level = levels[ids] * relief(scene.buffer, rims * suppressed[ids], microscope)  # (H, W)
    level *= 1 + body_roughness(scene, microscope, rng)[ids] * face_texture(ids.shape, microscope, scene.detail, rng)
    charged = np.maximum(levels / np.float32(microscope.particle_level) - 1, 0)[ids]
    courses = formation.charging_bands(COURSES, len(ids), max(14 * scene.detail, 1), rng)
    bands = courses[ids % COURSES, np.arange(len(ids))[:, None]]
    bands += np.float32(0.5) * formation.line_streaks(ids.shape, max(25 * scene.detail, 1), rng)
    level *= np.exp(np.float32(microscope.streaks) * charged * bands)
    level += substrate_relief(ids.shape, microscope, scene.detail, rng) * (ids == 0)
    level = formation.compress_highlights(level, microscope.highlight_knee, CEILING)
    fringes = TILT_CEILING + rims * suppressed[scene.buffer.fringe_ids]
    level = blend_edges(level, levels, fringes, scene.buffer, microscope)
    level *= formation.shadowing(scene.buffer.heights, 1.5 * radius, microscope.shadow_strength)
    return level * formation.shadowing(scene.buffer.heights, 0.5 * radius, microscope.gap_strength)


def rim_yields(
    heights: np.ndarray, radius: float, microscope: Microscope, detail: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the yield beyond that of a steep face that a silhouette's edge would have at each pixel, (H, W) float32.

    The yield fades where close neighbours absorb the electrons, and varies along the edge.
    """
    free = formation.shadowing(cv2.dilate(heights, np.ones((3, 3), np.uint8)), radius, RIM_SHADOW)
    uneven = np.exp(RIM_SPREAD * formation.smooth_noise(heights.shape, max(5 * detail, 1), rng))
    return np.float32(microscope.edge_yield - TILT_CEILING) * free * uneven


def relief(buffer: DepthBuffer, rims: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Return the signal relative to a flat face, (H, W) float32; `rims` (H, W) is the extra yield on an edge.

    The signal grows with tilt, near free edges, towards the detector's side, and where a covered edge shines through.
    """
    toward = np.array([np.cos(microscope.azimuth), np.sin(microscope.azimuth)], dtype=np.float32)
    side = toward[0] * buffer.normals[0] + toward[1] * buffer.normals[1]
    signal = formation.tilt_yield(buffer.normals[2], microscope.tilt_exponent, TILT_CEILING)
    rim = rims * formation.edge_effect(buffer.depths, microscope.edge_px)
    signal += rim * (1 + np.float32(microscope.asymmetry) * side)
    signal *= 1 + np.float32(microscope.asymmetry) * side
    below = formation.tilt_yield(buffer.covered_cosines, microscope.tilt_exponent, TILT_CEILING) - 1
    return signal + np.float32(microscope.translucency) * below


def face_texture(shape: tuple[int, int], microscope: Microscope, detail: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the unevenness of the particles' faces, (H, W) float32 of about unit spread: a lit rough surface, ridges."""
    slopes = formation.fractal_slopes(shape, rng, detail)
    lit = slopes[0] * np.float32(np.cos(microscope.azimuth)) + slopes[1] * np.float32(np.sin(microscope.azimuth))
    steep = np.sqrt(slopes[0] ** 2 + slopes[1] ** 2) - np.float32(1.25)
    ridges = formation.lit_rims(formation.smooth_noise(shape, max(5 * detail, 1), rng), microscope.azimuth, detail)
    return np.float32(0.7) * lit + np.float32(0.5) * steep + ridges


def substrate_relief(
    shape: tuple[int, int], microscope: Microscope, detail: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw membrane and crumbs, (H, W) float32 in grey levels that are added to the substrate's."""
    wrinkles = np.float32(microscope.texture * microscope.substrate_level) * formation.membrane(
        shape, max(microscope.wrinkle_px, 1), microscope.azimuth, rng, detail
    )
    flakes = rng.poisson(microscope.debris * shape[0] * shape[1] / REFERENCE_AREA_PX / detail**2)
    return wrinkles + np.float32(0.5 * microscope.particle_level) * formation.debris(shape, flakes, rng, detail)


def blend_edges(
    level: np.ndarray, levels: np.ndarray, fringes: np.ndarray, buffer: DepthBuffer, microscope: Microscope
) -> np.ndarray:
    """Mix the signals of the two bodies that share a pixel on a silhouette's edge, by the areas that they cover.

    Args:
        level: (H, W) float32 signal of the body that holds the pixel's centre.
        levels: (N + 1,) signal of each id's flat faces.
        fringes: (H, W) yield on the edge of the body that covers less than half of the pixel.
        buffer: tells which bodies share a pixel.
        microscope: gives the yields.
    """
    below = formation.tilt_yield(buffer.covered_cosines, microscope.tilt_exponent, TILT_CEILING)
    level = buffer.coverages * level + (1 - buffer.coverages) * levels[buffer.covered_ids] * below
    rim = formation.compress_highlights(fringes * levels[buffer.fringe_ids], microscope.highlight_knee, CEILING)
    return level + buffer.fringes * (rim - level)


def body_levels(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Draw the grey level of a flat face for each id, (N + 1,) float32, the substrate first.

    A particle high in a stack is poorly grounded and charges: its level grows with the ratio of its height to its size.
    """
    groups = np.array([p.agglomerate for p in scene.placed])
    lift = np.array([p.height * scene.pixel_size_nm / p.particle.silhouette.ecd for p in scene.placed])
    own = 0.7 * rng.standard_normal(len(groups)) + np.clip(lift - 0.6, -0.4, 2)
    charge = microscope.charging_std * (rng.standard_normal(groups.max() + 1)[groups] + own)
    levels = microscope.particle_level * np.exp(np.clip(charge, -0.7, 0.9))
    levels *= np.where(scene.is_matrix, microscope.matrix_contrast, 1)
    return np.concatenate([[microscope.substrate_level], levels]).astype(np.float32)


def body_roughness(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Draw the relative unevenness of the signal for each id, (N + 1,) float32: 0 on the substrate, strong on a few."""
    rough = microscope.roughness * np.exp(0.7 * rng.standard_normal(len(scene.placed)))
    return np.concatenate([[0], np.minimum(rough, 0.25)]).astype(np.float32)
