"""Kinds of bodies besides TiO2's irregular ones, and what an image of each preset of the renderer holds."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from semsize.synthesis.bodies import DIRECTIONS, Body, rounded_polyhedron
from semsize.synthesis.populations import SPHERES, Population, draw_rotation, vary_population
from semsize.synthesis.scenes import PRESETS, Preset

MIXTURE = {"agglomerated": 0.6, "scattered": 0.25, "matrix": 0.15}  # shares of the preset 'mixed', of TiO2
KIND_MIXTURE = {"agglomerated": 0.7, "scattered": 0.3}  # a matrix of spheres would be the kind itself, not annotated
VARIED = {"mixed": 0.4, "spheres": 0.15, "rods": 0.15, "plates": 0.15, "needles": 0.15}  # shares of 'varied'
VARIED_MEDIAN_FACTOR = 3.0  # the median ECD of an image of 'varied' lies up to this factor off that of its kind,
VARIED_MEDIAN_PX = 8.0  # but at this many px or more
VARIED_MEDIAN_SHARE = 0.3  # and at this share of the frame's shorter side or less
VARIED_GSD = (1.05, 1.8)  # geometric standard deviation of an image's ECDs
VARIED_CROWDING = (1.5, 6.0)  # how much more of the frame particles cover than in the preset that 'varied' draws
LIMITS = {"fewest": 6, "most": 600, "largest_group": 1 / 3, "ecd_limit": 0.5}  # of kinds and of 'varied'


@dataclass(frozen=True)
class Prisms(Population):
    """Rounded prisms at rest: rods, needles, plates, boxes; the logarithms of ratios are drawn evenly."""

    elongation_range: tuple[float, float] = (1.0, 1.0)  # longest / middle axis
    flatness_range: tuple[float, float] = (1.0, 1.0)  # middle / shortest axis
    along: str = "x"  # the prism's axis: 'x', the longest semi-axis, or 'z', the shortest
    sides: tuple[int, ...] = (4,)  # of the polygon, drawn evenly for an image
    exponents: tuple[int, ...] = (9,)  # of the bodies, drawn evenly for an image: the larger, the sharper their edges
    tilt_std: float = 0.1  # radians, normal, out of the substrate's plane
    loose_share: float = 0.0  # lie as irregular bodies do, not flat

    @property
    def directions(self) -> int:
        """A body of aspect ratio a shows ends that span 2 / a radians: at least twenty directions look at one."""
        aspect = max(self.elongation_range[1], self.flatness_range[1])
        return DIRECTIONS * (1 if aspect <= 2 else 2 if aspect <= 8 else 4)

    def of_one_form(self, rng: np.random.Generator) -> "Prisms":
        """The powder of one image, whose prisms have the same number of sides and are as sharp."""
        return replace(self, sides=(int(rng.choice(self.sides)),), exponents=(int(rng.choice(self.exponents)),))

    def draw_body(self, rng: np.random.Generator) -> Body:
        """A prism of about unit radius, oriented."""
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
    """(sides + 2, 3) unit normals of a regular prism about the axis 'x' or 'z', the first side's along y or x."""
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
NAMES = (*PRESETS, "mixed", *KINDS, "varied")


def choose_scene(
    name: str,
    population: Population,
    variety: float,
    shape: tuple[int, int],
    pixel_size_nm: float,
    rng: np.random.Generator,
) -> tuple[Preset, Population]:
    """What is rendered in one image of a preset of NAMES, in a frame of (H, W).

    `population` is TiO2's. For a name of PRESETS and 'mixed' it is that of the image, up to its variety. Particles of a
    kind, and all of 'varied', keep the share of the frame that they cover whatever their sizes: their number follows.
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
    """The population with sizes of one image of 'varied', in a frame whose shorter side is `side_nm`.

    The median's logarithm is uniform, and that of the geometric standard deviation.
    """
    high = min(population.ecd_median_nm * VARIED_MEDIAN_FACTOR, VARIED_MEDIAN_SHARE * side_nm)
    low = min(max(population.ecd_median_nm / VARIED_MEDIAN_FACTOR, VARIED_MEDIAN_PX * pixel_size_nm), high)
    median, gsd = np.exp(rng.uniform(*np.log([(low, VARIED_GSD[0]), (high, VARIED_GSD[1])])))
    return replace(population, ecd_median_nm=float(median), ecd_gsd=float(gsd))


def _drawn(shares: dict[str, float], rng: np.random.Generator) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))
