"""Empty backgrounds: made from annotated images by replacing particles and their halos, or a folder of images."""

from pathlib import Path

import cv2
import numpy as np

from semsize.sem.reading import read_grey
from semsize.structures.masks import CroppedMasks
from tio2.agglomerates.archive import LibraryError
from tio2.agglomerates.texture import SEAM_PX, TILE_PX, blend_grain, lay_grain, smooth_field

HALO_PX = 24  # around a particle its bright fringe and the depth of its shadow hide the background's texture
SHADOW_PX = 150  # beyond the halo; where shadows end
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
_CACHED = 64


def distance_to_particles(masks: CroppedMasks) -> np.ndarray:
    """(H, W) float32, pixels to the nearest particle's nearest pixel; 0 on particles, large without any."""
    covered = masks.union()
    if not covered.any():
        return np.full(masks.image_shape, sum(masks.image_shape), np.float32)
    return cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def without_shadow(image: np.ndarray, distance: np.ndarray, halo_px: float = HALO_PX) -> np.ndarray:
    """The image (H, W) float32 with the particles' shadow on bare background lifted.

    Particles keep electrons from the detector: the background darkens towards them, noticeably to some hundred pixels.
    The mean level of bare pixels by distance, made to rise with it, is measured on the image itself.

    Args:
        image: (H, W) grey levels.
        distance: (H, W) px, see `distance_to_particles`.
        halo_px: nearer pixels are not bare and stay as they are.
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


def emptied(image: np.ndarray, distance: np.ndarray, rng: np.random.Generator, halo_px: float = HALO_PX) -> np.ndarray:
    """The image with its particles and their halos replaced by its own background texture, and their shadow lifted.

    Args:
        image: (H, W) grey levels.
        distance: (H, W) px, see `distance_to_particles`.
        rng: chooses where the texture comes from.
        halo_px: what lies nearer to a particle is replaced.

    Returns:
        (H, W) float32, whole grey levels where the image has them; out of the particles' shadow the image's own.

    Raises:
        TextureError: too little of the image is bare.
    """
    bare = distance > halo_px
    lit = without_shadow(image, distance, halo_px)
    field = smooth_field(lit, bare)
    grain = lit - field
    share = np.clip(1 - (distance - halo_px) / SEAM_PX, 0, 1)  # of new grain
    laid = lay_grain(grain, bare, image.shape, rng, wanted=share > 0)
    filled = field + np.where(bare, blend_grain(grain, laid, share), laid)
    return _like(image, np.where(share > 0, filled, lit))


def extended(image: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A background of another size with the same texture: its smooth field stretched, its grain laid anew."""
    everywhere = np.ones(image.shape, bool)
    field = smooth_field(image, everywhere)
    grain = lay_grain(image - field, everywhere, shape, rng, tile_px=2 * TILE_PX)
    stretched = cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return _like(image, stretched + grain)


class Backgrounds:
    """A folder of empty SEM images, each read when it is first drawn and then kept, up to a number of them.

    Args:
        folder: of PNG, TIFF, JPEG or BMP files.

    Raises:
        LibraryError: it holds no image.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.paths = sorted(path for path in self.folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not self.paths:
            raise LibraryError(
                f"{folder}: holds no image to use as a background; make some with tools/build_library.py"
            )
        self._cache: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, dict]:
        """A background of (H, W): one of the images, a random part of it, mirrored at random.

        Returns:
            (H, W) float32 of its own memory, and what was drawn: name, first pixel, whether mirrored along each axis.

        Raises:
            LibraryError: the image drawn is smaller than the frame.
        """
        number = int(rng.integers(len(self)))
        image = self._image(number)
        rest = np.subtract(image.shape, shape)
        if rest.min() < 0:
            raise LibraryError(
                f"{self.paths[number]}: a background of {image.shape} px cannot fill a frame of {tuple(shape)}; "
                "make larger ones with tools/build_library.py --background-size"
            )
        row, column = (int(first) for first in rng.integers(rest + 1))
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


def _like(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values clipped to 0-255, rounded if the image holds whole grey levels."""
    rounded = np.rint(values) if np.array_equal(np.rint(image), image) else values
    return np.clip(rounded, 0, 255).astype(np.float32)
