"""Empty backgrounds: particles and their halos are replaced by the image's own texture.

Texture is a smooth field of grey levels plus grain, which is copied in square tiles from bare places. Where tiles
overlap, the squares of their weights sum to 1, so that noise keeps its variance across the seam: a plain cross-fade
would halve it there and leave a trace.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from semsize.exchange.source import IMAGE_ENDINGS
from semsize.sem.image_sets import outlined_images
from semsize.sem.reading import read_grey
from semsize.structures.files import write_whole
from semsize.structures.masks import CroppedMasks
from tio2.agglomerates.library import LibraryError, encode_grey

HALO_PX = 24  # so far around a particle its bright fringe and dark shadow hide the background's texture
SHADOW_PX = 150  # distance beyond the halo at which shadows end
FIELD_SIGMA_PX = 40.0
TILE_PX = 128
SEAM_PX = 12
LEAST_REACH = 0.01  # share of the Gaussian's weight that must lie on bare pixels
_CACHED = 64


class TextureError(ValueError):
    """Too little bare background to copy grain from."""


class Backgrounds:
    """A folder of empty SEM images; each is read when it is first drawn, and up to _CACHED are kept in memory.

    Raises:
        LibraryError: the folder holds no image.
    """

    def __init__(self, folder: str | Path):
        self.paths = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in IMAGE_ENDINGS)
        if not self.paths:
            raise LibraryError(
                f"{folder}: holds no image to use as a background; make some with tools/build_library.py"
            )
        self._cache: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, dict]:
        """Draw a background of (H, W): a random part of a random image, mirrored at random.

        Returns:
            (H, W) float32, a copy, and what was drawn: file name, first pixel, whether mirrored along each axis.

        Raises:
            LibraryError: the image drawn is smaller than the frame.
        """
        number = int(rng.integers(len(self)))
        image = self._image(number)
        spare = np.subtract(image.shape, shape)
        if spare.min() < 0:
            raise LibraryError(
                f"{self.paths[number]}: a background of {image.shape} px cannot fill a frame of {tuple(shape)}; "
                "make larger ones with tools/build_library.py --background-size"
            )
        row, column = (int(first) for first in rng.integers(spare + 1))
        mirrored = [bool(drawn) for drawn in rng.integers(2, size=2)]
        part = image[row : row + shape[0], column : column + shape[1]]
        part = np.flip(part, [axis for axis in (0, 1) if mirrored[axis]])
        drawn = {"file": self.paths[number].name, "first_pixel": [row, column], "mirrored": mirrored}
        return part.astype(np.float32), drawn

    def _image(self, number: int) -> np.ndarray:
        if number not in self._cache:
            if len(self._cache) >= _CACHED:
                self._cache.pop(next(iter(self._cache)))
            image = read_grey(self.paths[number])
            whole = np.rint(image)
            self._cache[number] = whole.astype(np.uint8) if np.array_equal(whole, image) else image
        return self._cache[number]


def make_backgrounds(
    ann_file: str | Path, image_folder: str | Path, out: str | Path, shape: tuple[int, int], seed: int
) -> Iterator[tuple[str, str | None]]:
    """Empty the images of an annotation file, and write each as a PNG that covers a frame of (H, W).

    Images smaller than the frame are extended to it. Backgrounds that exist already are kept.

    Yields:
        For each image its name, and None or the reason why it gives no background.
    """
    for number, (record, image, masks, _) in enumerate(outlined_images(ann_file, image_folder)):
        path = Path(out) / (Path(record["file_name"]).stem + ".png")
        reason = None
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            try:
                empty = emptied(image, distance_to_particles(masks), rng)
                small = empty.shape[0] < shape[0] or empty.shape[1] < shape[1]
                write_whole(path, encode_grey(extended(empty, shape, rng) if small else empty))
            except TextureError as cause:
                reason = str(cause)
        yield record["file_name"], reason


def distance_to_particles(masks: CroppedMasks) -> np.ndarray:
    """Distance of each pixel to the nearest particle, (H, W) float32 in px; 0 on particles, large if there are none."""
    covered = masks.union()
    if not covered.any():
        return np.full(masks.image_shape, sum(masks.image_shape), np.float32)
    return cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def emptied(image: np.ndarray, distance: np.ndarray, rng: np.random.Generator, halo_px: float = HALO_PX) -> np.ndarray:
    """Replace particles and their halos by the image's own background texture, and brighten their shadow.

    Pixels nearer than `halo_px` to a particle (`distance`, (H, W) px, from `distance_to_particles`) are replaced, and
    pixels out of the shadow stay. Returns (H, W) float32, whole grey levels if the image has only whole ones.

    Raises:
        TextureError: too little of the image is bare.
    """
    bare = distance > halo_px
    lit = without_shadow(image, distance, halo_px)
    field = smooth_field(lit, bare)
    grain = lit - field
    share = np.clip(1 - (distance - halo_px) / SEAM_PX, 0, 1).astype(np.float32)  # of new grain
    laid = lay_grain(grain, bare, image.shape, rng, wanted=share > 0)
    angle = share * np.float32(np.pi / 2)
    filled = field + np.where(bare, np.cos(angle) * grain + np.sin(angle) * laid, laid)
    return _like(image, np.where(share > 0, filled, lit))


def extended(image: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Make a background of another size with the same texture: stretch its smooth field, and lay new grain."""
    everywhere = np.ones(image.shape, bool)
    field = smooth_field(image, everywhere)
    grain = lay_grain(image - field, everywhere, shape, rng, tile_px=2 * TILE_PX)
    stretched = cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return _like(image, stretched + grain)


def without_shadow(image: np.ndarray, distance: np.ndarray, halo_px: float = HALO_PX) -> np.ndarray:
    """Return the image (H, W) float32 without the particles' shadow on the bare background.

    Particles keep electrons from the detector, so the background darkens towards them within some hundred pixels.
    The shadow is measured on the image: the mean level of bare pixels, made to rise with distance. The halo stays.
    """
    edges = halo_px + SHADOW_PX * np.linspace(0, 1, 21) ** 2  # finer where the shadow is steep
    number = np.digitize(distance, edges, right=True)  # 0: not bare, 21: out of the shadow
    counts = np.bincount(number.ravel(), minlength=22)
    means = np.bincount(number.ravel(), weights=image.ravel(), minlength=22) / np.maximum(counts, 1)
    known = np.flatnonzero(counts[1:]) + 1
    if len(known) == 0:
        return image.astype(np.float32)
    centres = np.append((edges[1:] + edges[:-1]) / 2, edges[-1])
    rising = np.minimum.accumulate(means[known][::-1])[::-1]
    level = np.interp(distance, centres[known - 1], rising)
    return np.where(number > 0, image + rising[-1] - level, image).astype(np.float32)


def smooth_field(image: np.ndarray, bare: np.ndarray) -> np.ndarray:
    """Gaussian mean (H, W) float32 of the bare pixels around each pixel.

    The standard deviation is FIELD_SIGMA_PX. Where less than LEAST_REACH of the weight lies on bare pixels it is
    doubled, up to the image's size; pixels that are then still without a value get the mean of all bare pixels.

    Raises:
        TextureError: no pixel is bare.
    """
    if not bare.any():
        raise TextureError("no bare background at all; use images with fewer particles or a smaller halo")
    field, known = np.full(image.shape, image[bare].mean(), np.float32), np.zeros(image.shape, bool)
    weights = bare.astype(np.float32)
    values = image * weights
    sigma_px = FIELD_SIGMA_PX
    while sigma_px < max(image.shape) and not known.all():
        reach = _gaussian(weights, sigma_px)
        new = ~known & (reach > LEAST_REACH)
        field[new] = _gaussian(values, sigma_px)[new] / reach[new]
        known |= new
        sigma_px *= 2
    return field


def lay_grain(
    grain: np.ndarray,
    bare: np.ndarray,
    shape: tuple[int, int],
    rng: np.random.Generator,
    wanted: np.ndarray | None = None,
    tile_px: int = TILE_PX,
) -> np.ndarray:
    """Fill a frame (shape) float32 with tiles of grain from random bare places, keeping the grain's mean and variance.

    Args:
        grain: (H, W) float32, grey levels above the smooth field; used where bare.
        bare: (H, W) bool.
        shape: (rows, columns) of the frame.
        rng: draws the places of the tiles.
        wanted: (shape) bool, where grain is needed; elsewhere zeros may be left. None: everywhere.
        tile_px: side of a tile without its seams; halved until a bare place of that size exists.

    Raises:
        TextureError: no bare place holds even a tile of 16 px with its seam.
    """
    corners = _bare_squares(bare, tile_px + SEAM_PX)
    while len(corners) == 0:
        tile_px //= 2
        if tile_px < 16:
            side = 2 * tile_px + SEAM_PX
            raise TextureError(f"no bare square of {side} px to copy texture from; use images with fewer particles")
        corners = _bare_squares(bare, tile_px + SEAM_PX)
    side = tile_px + SEAM_PX
    ramp = np.sin(np.clip((np.arange(side) + 0.5) / SEAM_PX, 0, 1) * np.pi / 2)
    ramp = np.minimum(ramp, ramp[::-1])
    weight = np.outer(ramp, ramp).astype(np.float32)
    out = np.zeros((shape[0] + 2 * side, shape[1] + 2 * side), np.float32)
    for top in range(-SEAM_PX, shape[0], tile_px):
        for left in range(-SEAM_PX, shape[1], tile_px):
            part = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
            if wanted is None or wanted[part].any():
                row, column = corners[rng.integers(len(corners))]
                tile = grain[row : row + side, column : column + side]
                out[top + side : top + 2 * side, left + side : left + 2 * side] += weight * tile
    return out[side : side + shape[0], side : side + shape[1]]


def _gaussian(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur; wide blurs are computed at a reduced size, which is faster and makes no visible difference."""
    step = max(int(sigma_px // 10), 1)
    size = [max(round(side / step), 1) for side in image.shape[::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / step, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _bare_squares(bare: np.ndarray, side: int) -> np.ndarray:
    """First pixels (row, column), (K, 2), of all bare squares with this side."""
    if min(bare.shape) < side:
        return np.zeros((0, 2), np.int64)
    total = cv2.integral((~bare).astype(np.uint8))
    return np.argwhere(total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side] == 0)


def _like(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values clipped to 0-255, rounded if the image holds whole grey levels."""
    rounded = np.rint(values) if np.array_equal(np.rint(image), image) else values
    return np.clip(rounded, 0, 255).astype(np.float32)
