"""Renders an image and its exact truth from settings and a number, the same everywhere, and data sets of images."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tifffile
from tqdm import tqdm

from semsize.structures import SPECK_PX, SPLITS, image_entry, particle_entry
from semsize.structures.masks import CroppedMasks
from semsize.structures.parts import DatasetParts
from semsize.structures.states import assign_states, visibility_class
from semsize.synthesis.imaging import draw_microscope, take_image
from semsize.synthesis.populations import Population
from semsize.synthesis.scenes import Scene, build_scene, choose_scene

BAR_SHARE = 1 / 11  # height of a data bar over that of the frame


@dataclass(frozen=True)
class RenderSettings:
    """The settings that, together with its number, decide an image."""

    seed: int
    shape: tuple[int, int]  # (H, W) of the frame, without the data bar
    preset: str = "mixed"  # one of semsize.synthesis.scenes.NAMES
    particles: int | None = None  # number in every image; None: drawn from the preset's range
    pixel_size_nm: float | tuple[float, ...] = 7.344  # one, or several from which each image draws one
    data_bar: bool = False
    population: Population = field(default_factory=Population)  # of TiO2; KINDS have their own
    variety: float = 1.0  # 1: microscope and powder vary as in real images; 2: their ranges are twice as wide


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth of the N particles of a scene that show at least one pixel, in their order of arrival."""

    visible: CroppedMasks  # N masks
    full: CroppedMasks  # N masks of the whole silhouette within the frame
    visible_fractions: np.ndarray  # (N,) visible area / full area within the frame, 0-1
    hides: dict[tuple[int, int], float]  # [i, j]: share of particle j's full mask over which particle i is seen
    truncated: np.ndarray  # (N,) bool: the silhouette reaches beyond the frame
    ecds_nm: np.ndarray  # (N,) ECD of the whole silhouette, also of what lies beyond the frame
    ferets_nm: np.ndarray  # (N, 2) smallest and largest Feret diameter of the same silhouette
    hidden_particles: int  # particles within the frame that show no pixel; they are not among the N

    @property
    def states(self) -> list[str | None]:
        """States of the N particles, by the rule of `semsize.structures.states`."""
        return assign_states(self.visible, [visibility_class(f) for f in self.visible_fractions], self.hides)


@dataclass(frozen=True, eq=False)
class RenderedImage:
    """A rendered image with its scene and truth."""

    pixels: np.ndarray  # (H, W) uint8, the data bar included
    scene: Scene
    truth: Truth  # masks of the image's full size
    configuration: str  # 'scattered', 'agglomerated' or 'matrix'


def render_image(settings: RenderSettings, number: int) -> RenderedImage:
    """Render image `number` of the endless series that the settings define."""
    rng = np.random.default_rng((settings.seed, number))
    pixel_size_nm = settings.pixel_size_nm
    if isinstance(pixel_size_nm, tuple):
        pixel_size_nm = float(rng.choice(pixel_size_nm))
    preset, population = choose_scene(
        settings.preset, settings.population, settings.variety, settings.shape, pixel_size_nm, rng
    )
    scene = build_scene(preset, population, settings.shape, pixel_size_nm, rng, settings.particles)
    pixels = take_image(scene, draw_microscope(rng, settings.variety), rng)
    truth = truth_of(scene)
    if settings.data_bar:
        pixels = add_data_bar(pixels, pixel_size_nm)
        truth = replace(
            truth, visible=truth.visible.expand(pixels.shape, 0, 0), full=truth.full.expand(pixels.shape, 0, 0)
        )
    return RenderedImage(pixels, scene, truth, preset.configuration)


def truth_of(scene: Scene) -> Truth:
    """Read the truth off a scene; bodies of the matrix hide particles but are not listed."""
    ids = scene.buffer.ids
    fulls = [scene.buffer.full_mask(p.patch, p.row, p.column) for p in scene.placed]
    windows = [(slice(r, r + mask.shape[0]), slice(c, c + mask.shape[1])) for mask, (r, c) in fulls]
    areas = [int(mask.sum()) for mask, _ in fulls]
    seen = [_pixels_of_ids(ids[window][mask]) for window, (mask, _) in zip(windows, fulls, strict=True)]
    own = np.flatnonzero(~scene.is_matrix).tolist()
    listed = [k for k in own if k + 1 in seen[k]]
    number = {k + 1: n for n, k in enumerate(listed)}
    hides = {
        (number[i], number[k + 1]): count / areas[k]
        for k in listed
        for i, count in seen[k].items()
        if i in number and i != k + 1
    }
    silhouettes = [scene.placed[k].particle.silhouette for k in listed]
    return Truth(
        visible=CroppedMasks.from_crops([(ids[windows[k]] == k + 1, fulls[k][1]) for k in listed], ids.shape),
        full=CroppedMasks.from_crops([fulls[k] for k in listed], ids.shape),
        visible_fractions=np.array([seen[k][k + 1] / areas[k] for k in listed]),
        hides=hides,
        truncated=np.array([areas[k] < scene.placed[k].patch.inside.sum() for k in listed], dtype=bool),
        ecds_nm=np.array([silhouette.ecd for silhouette in silhouettes]),
        ferets_nm=np.array([silhouette.feret() for silhouette in silhouettes]).reshape(-1, 2),
        hidden_particles=sum(areas[k] > 0 and k + 1 not in seen[k] for k in own),
    )


def particle_entries(truth: Truth, image_id: int) -> list[dict]:
    """Return the truth as annotation records, ids from 1; visible parts under SPECK_PX pixels have iscrowd = 1."""
    rles, full_rles, areas, states = truth.visible.to_rles(), truth.full.to_rles(), truth.visible.areas, truth.states
    return [
        particle_entry(
            id=n + 1,
            image_id=image_id,
            rle=rle,
            state=states[n],
            iscrowd=int(areas[n] < SPECK_PX),
            amodal_rle=full_rles[n],
            visible_fraction=truth.visible_fractions[n],
            truncated=truth.truncated[n],
            ecd_nm=truth.ecds_nm[n],
            feret_min_nm=truth.ferets_nm[n, 0],
            feret_max_nm=truth.ferets_nm[n, 1],
        )
        for n, rle in enumerate(rles)
    ]


def _pixels_of_ids(ids: np.ndarray) -> dict[int, int]:
    """Return the number of pixels of each id that occurs."""
    found, counts = np.unique(ids, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def add_data_bar(image: np.ndarray, pixel_size_nm: float) -> np.ndarray:
    """Return the image (H, W) uint8 with a black bar of H / 11 rows below it, as microscopes burn it in.

    The bar shows a scale bar of a round length, the pixel size and the width of the field of view.
    """
    height, width = image.shape
    bar = np.zeros((round(height * BAR_SHARE), width), dtype=np.uint8)
    middle, scale = bar.shape[0] // 2, bar.shape[0] / 90
    length_nm = round_length(width * pixel_size_nm / 5)
    right = 10 + round(length_nm / pixel_size_nm)
    cv2.line(bar, (10, middle), (right, middle), 255, 2)
    for end in (10, right):
        cv2.line(bar, (end, middle // 2), (end, middle + middle // 2), 255, 2)
    text = f"{_length(length_nm)}   Pixel Size = {pixel_size_nm:.4g} nm   Width = {_length(width * pixel_size_nm)}"
    foot = middle + round(8 * scale)
    cv2.putText(bar, text, (right + 15, foot), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
    bar[:2] = 255
    return np.concatenate([image, bar])


def round_length(limit_nm: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that does not exceed the limit."""
    power = 10.0 ** np.floor(np.log10(limit_nm))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= limit_nm * (1 + 1e-9))


def _length(value_nm: float) -> str:
    return f"{value_nm / 1000:.4g} um" if value_nm >= 1000 else f"{value_nm:.4g} nm"


@dataclass(frozen=True)
class DatasetPlan:
    """A data set to be rendered."""

    settings: RenderSettings
    num: int
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)  # relative numbers of train, val, test images
    suffix: str = ".png"  # or '.tif', which carries the pixel size in its tags

    def counts(self) -> list[int]:
        """Return the numbers of images in train, val, test by largest remainder; if possible, 1 for a fraction > 0."""
        shares = np.array(self.fractions, dtype=float) / sum(self.fractions) * self.num
        counts = np.floor(shares).astype(int)
        counts[np.argsort(counts - shares, kind="stable")[: self.num - counts.sum()]] += 1
        for split in np.flatnonzero((shares > 0) & (counts == 0)):
            if counts.max() > 1:
                counts[counts.argmax()] -= 1
                counts[split] += 1
        return counts.tolist()

    def split_of(self, number: int) -> str:
        """Return the split of image `number`, 0 to num - 1: the first images are train, the last ones test."""
        return SPLITS[int(np.searchsorted(np.cumsum(self.counts()), number, side="right"))]


def render_dataset(plan: DatasetPlan, folder: Path, jobs: int = 1) -> dict[str, dict[str, int]]:
    """Render the missing images of a data set in `jobs` processes, with a progress bar, and join the parts.

    Returns what `join_parts` returns, and raises what `claim_folder` raises.
    """
    parts = claim_folder(plan, folder)
    done, images = plan.num - len(parts.missing()), render_missing(plan, parts, jobs)
    for _ in tqdm(images, total=plan.num, initial=done, unit="image", disable=None):
        pass
    return join_parts(plan, parts)


def claim_folder(plan: DatasetPlan, folder: Path) -> DatasetParts:
    """Make the folder of a data set, and write the plan to render.json or compare it with the plan there.

    Raises:
        DatasetFolderError: the folder was begun with another plan.
    """
    parts = DatasetParts(folder, plan.num)
    parts.claim("render.json", asdict(plan), SPLITS)
    return parts


def render_missing(plan: DatasetPlan, parts: DatasetParts, jobs: int) -> Iterator[int]:
    """Render the missing images in `jobs` processes; yield the number of each image that is done."""
    return parts.make_missing(partial(render_part, plan, parts), jobs)


def render_part(plan: DatasetPlan, parts: DatasetParts, number: int) -> int:
    """Render and write image `number` and then its part; return the number."""
    rendered = render_image(plan.settings, number)
    name = f"{number:06d}{plan.suffix}"
    height, width = rendered.pixels.shape
    image = image_entry(
        id=number + 1,
        file_name=name,
        height=height,
        width=width,
        pixel_size_nm=rendered.scene.pixel_size_nm,
        source="rendered",
        configuration=rendered.configuration,
    )
    part = {"image": image, "particles": particle_entries(rendered.truth, number + 1)}
    part["hidden_particles"] = rendered.truth.hidden_particles
    content = encode_image(rendered.pixels, plan.suffix, rendered.scene.pixel_size_nm)
    parts.write(number, f"images/{plan.split_of(number)}/{name}", content, part)
    return number


def join_parts(plan: DatasetPlan, parts: DatasetParts) -> dict[str, dict[str, int]]:
    """Write annotations/<split>.json from the parts.

    Returns:
        For each split the numbers of images, particles, specks and wholly hidden particles.
    """
    summary = {}
    for split in SPLITS:
        records, counts = parts.join(split, [n for n in range(plan.num) if plan.split_of(n) == split])
        summary[split] = counts | {"hidden": sum(record["hidden_particles"] for record in records)}
    return summary


def encode_image(pixels: np.ndarray, suffix: str, pixel_size_nm: float) -> bytes:
    """Return the bytes of a PNG or TIFF file.

    The TIFF carries the pixel size twice: as its resolution, and in the text tag that Zeiss instruments write.
    """
    if suffix == ".png":
        return cv2.imencode(".png", pixels)[1].tobytes()
    stream = BytesIO()
    text = f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {pixel_size_nm:.6g} nm\r\n"
    tifffile.imwrite(
        stream,
        pixels,
        photometric="minisblack",
        metadata=None,
        software=False,
        resolution=(1e7 / pixel_size_nm, 1e7 / pixel_size_nm),
        resolutionunit="CENTIMETER",
        extratags=[(34118, "s", 0, text, True)],
    )
    return stream.getvalue()
