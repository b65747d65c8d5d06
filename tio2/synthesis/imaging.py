"""Puts the effects of image formation together: from a scene and a microscope's settings to 8-bit grey levels."""

import numpy as np

from tio2.sem.degradation import add_poisson_gaussian_noise, adjust_contrast, gaussian_blur, jitter_lines
from tio2.synthesis.depth import DepthBuffer, Edges
from tio2.synthesis.formation import compress_highlights, line_streaks, membrane, shadowing, smooth_noise, tilt_yield
from tio2.synthesis.presets import Microscope
from tio2.synthesis.scenes import Scene


def take_image(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """The image of a scene, (H, W) uint8."""
    level = detector_signal(scene, microscope, rng)
    level = compress_highlights(level, microscope.highlight_knee, 275)
    level = jitter_lines(gaussian_blur(level, microscope.probe_px), microscope.jitter_px, rng)
    level = adjust_contrast(level, gamma=microscope.gamma)
    level = add_poisson_gaussian_noise(
        level, microscope.electrons_per_level, microscope.read_noise, rng, microscope.noise_correlation_px
    )
    return np.rint(level).astype(np.uint8)


def detector_signal(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Signal before blur and noise, (H, W) float32 in grey levels, not clipped."""
    ids = scene.buffer.ids
    levels = body_levels(scene, microscope, rng)
    level = levels[ids] * relief(scene.buffer, microscope)  # (H, W)
    level *= 1 + body_roughness(scene, microscope, rng)[ids] * smooth_noise(ids.shape, 1.5, rng)
    charged = np.maximum(level / np.float32(microscope.particle_level) - 1, 0)
    level *= 1 + np.float32(microscope.streaks) * charged * line_streaks(ids.shape, 25, rng)
    level += (
        np.float32(microscope.texture)
        * membrane(ids.shape, microscope.wrinkle_px, microscope.azimuth, rng)
        * (ids == 0)
    )
    level = blend_edges(level, levels, scene.buffer.edges, microscope)
    return level * shadowing(scene.buffer.heights, 1.5 * scene.median_radius_px, microscope.shadow_strength)


def relief(buffer: DepthBuffer, microscope: Microscope) -> np.ndarray:
    """Signal relative to a flat face, (H, W) float32.

    It grows with tilt, towards the detector's side, and where a covered edge shines through from below.
    """
    toward = np.array([np.cos(microscope.azimuth), np.sin(microscope.azimuth)], dtype=np.float32)
    side = toward[0] * buffer.normals[0] + toward[1] * buffer.normals[1]
    signal = tilt_yield(buffer.normals[2], microscope.tilt_exponent, microscope.edge_yield)
    signal *= 1 + np.float32(microscope.asymmetry) * side
    below = tilt_yield(buffer.edges.covered_cosines, microscope.tilt_exponent, microscope.edge_yield) - 1
    return signal + np.float32(microscope.translucency) * below


def blend_edges(level: np.ndarray, levels: np.ndarray, edges: Edges, microscope: Microscope) -> np.ndarray:
    """Mixes the signals of the two bodies that share a pixel on an outline by the areas that they cover in it.

    Args:
        level: (H, W) signal of the body that holds the pixel's centre.
        levels: (N + 1,) signal of each id's flat faces.
        edges: the pixels on outlines.
        microscope: gives the yields.

    Returns:
        (H, W) float32.
    """
    below = tilt_yield(edges.covered_cosines, microscope.tilt_exponent, microscope.edge_yield)
    level = edges.coverages * level + (1 - edges.coverages) * levels[edges.covered_ids] * below
    return level + edges.fringes * (np.float32(microscope.edge_yield) * levels[edges.fringe_ids] - level)


def body_levels(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Grey level of a flat face for each id: (N + 1,) float32, the substrate's first.

    A particle high in the heap is poorly grounded and charges: its level grows with its height over its own size.
    """
    groups = np.array([p.agglomerate for p in scene.placed])
    lift = np.array([p.height * scene.pixel_size_nm / p.particle.outline.ecd for p in scene.placed])
    own = 0.7 * rng.standard_normal(len(groups)) + np.clip(lift - 0.6, -0.4, 2) * 1.5
    charge = microscope.charging_std * (rng.standard_normal(groups.max() + 1)[groups] + own)
    levels = microscope.particle_level * np.exp(np.clip(charge, -0.7, 0.9))
    levels *= np.where(scene.is_matrix, microscope.matrix_contrast, 1)
    return np.concatenate([[microscope.substrate_level], levels]).astype(np.float32)


def body_roughness(scene: Scene, microscope: Microscope, rng: np.random.Generator) -> np.ndarray:
    """Relative unevenness of the signal for each id, (N + 1,) float32: none on the substrate, strong on a few."""
    rough = microscope.roughness * np.exp(0.5 * rng.standard_normal(len(scene.placed)))
    return np.concatenate([[0], np.minimum(rough, 0.15)]).astype(np.float32)
