"""One rendered image and its truth from a seed and a number; the same two give the same image everywhere."""

from dataclasses import dataclass, field, replace

import numpy as np

from semsize.synthesis.data_bar import add_data_bar
from semsize.synthesis.imaging import take_image
from semsize.synthesis.populations import Population, vary_population
from semsize.synthesis.presets import choose_preset, draw_microscope
from semsize.synthesis.scenes import Scene, build_scene
from semsize.synthesis.truth import Truth, truth_of


@dataclass(frozen=True)
class RenderSettings:
    """What decides an image, besides its number."""

    seed: int
    shape: tuple[int, int]  # (H, W) of the frame, without the data bar
    preset: str = "mixed"  # one of semsize.synthesis.presets.PRESET_NAMES
    particles: int | None = None  # in every image; None: drawn from the preset's range
    pixel_size_nm: float = 7.344
    data_bar: bool = False
    population: Population = field(default_factory=Population)
    variety: float = 1.0  # 1: microscope and powder scatter as in real images; 2: their ranges are twice as wide


@dataclass(frozen=True, eq=False)
class RenderedImage:
    """A rendered image with all that is known about it."""

    pixels: np.ndarray  # (H, W) uint8, the data bar included
    scene: Scene
    truth: Truth  # masks of the image's full size
    configuration: str  # 'scattered', 'agglomerated' or 'matrix'


def render_image(settings: RenderSettings, number: int) -> RenderedImage:
    """Renders image `number` of the endless series that the settings define."""
    rng = np.random.default_rng((settings.seed, number))
    preset = choose_preset(settings.preset, rng)
    population = vary_population(settings.population, settings.variety, rng)
    scene = build_scene(preset, population, settings.shape, settings.pixel_size_nm, rng, settings.particles)
    pixels = take_image(scene, draw_microscope(rng, settings.variety), rng)
    truth = truth_of(scene)
    if settings.data_bar:
        pixels = add_data_bar(pixels, settings.pixel_size_nm)
        truth = replace(truth, visible=truth.visible.pad(pixels.shape), full=truth.full.pad(pixels.shape))
    return RenderedImage(pixels, scene, truth, preset.configuration)
