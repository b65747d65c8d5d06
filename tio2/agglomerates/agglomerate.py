"""An agglomerate: touching particles cut out of their image together, turned, and pasted onto a background."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from semsize.structures.annotations import OWN_PARTICLE_KEYS, TRUTH_KEYS
from semsize.structures.masks import FLIP_AXES, CroppedMasks
from semsize.structures.states import disc, neighbour_pairs

FLIPS = (None, *FLIP_AXES)
MEDIAN_PX = 5  # side of the median filter on the seam, paper §3.2

JOIN_PX = 4.0  # annotators leave one empty pixel between touching particles; two more close their diffuse borders
MARGIN_PX = 6  # kept around the particles: their diffuse border, and what rotation needs beyond it
KEPT_KEYS = (*OWN_PARTICLE_KEYS, "iscrowd", *TRUTH_KEYS)
"""Keys of an annotation that an agglomerate keeps besides the mask; turning and mirroring change no value of them."""

CUT_BY_EDGE, CUT_BY_DATA_BAR, ONLY_SPECKS = "cut by the image's edge", "cut by the data bar", "only specks"


@dataclass(frozen=True, eq=False)
class Agglomerate:
    """A crop of an image around touching particles, with a margin for their diffuse border."""

    image: np.ndarray  # (h, w) float32, grey levels 0-255
    masks: CroppedMasks  # N masks in that crop
    particles: tuple[Mapping[str, Any], ...]  # N annotations, of which `KEPT_KEYS` are kept
    source: str  # file name of the image it was cut from
    pixel_size_nm: float | None = None

    def __post_init__(self):
        if len(self.masks) != len(self.particles) or self.masks.image_shape != self.image.shape:
            raise ValueError(
                f"{self.masks!r} do not fit {len(self.particles)} particles in a crop of {self.image.shape}"
            )

    def turned(self, angle: float = 0.0, flip: str | None = None) -> "Agglomerate":
        """Return the agglomerate mirrored by `flip` (one of FLIPS), then turned clockwise by `angle` degrees.

        The crop grows so that all of it stays inside; its new corners repeat its edge. Grey levels are interpolated
        by cubics, which keep nine tenths of the noise; quarter turns keep every grey level. A speck that falls between
        the new pixels is left out.
        """
        if angle % 360 == 0:
            if flip is None:
                return self
            image = np.ascontiguousarray(np.flip(self.image, FLIP_AXES[flip]))
            return replace(self, image=image, masks=self.masks.flip(flip))
        matrix, shape = turning_matrix(self.image.shape, angle, flip)
        image = cv2.warpAffine(self.image, matrix, shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        masks, kept = turned_masks(self.masks, matrix, shape)
        particles = tuple(self.particles[i] for i in kept)
        return replace(self, image=np.clip(image, 0, 255), masks=masks, particles=particles)


def touching_groups(masks: CroppedMasks, join_px: float = JOIN_PX) -> list[np.ndarray]:
    """Positions of the particles of each agglomerate, ascending; agglomerates are in the order of their first particle.

    Particles whose nearest pixel centres lie at most `join_px` apart touch. Empty masks belong to no group.
    """
    root = np.arange(len(masks))
    for first, second in neighbour_pairs(masks, join_px):
        low, high = sorted((root[first], root[second]))
        root[root == high] = low
    filled = masks.sizes[:, 0] > 0
    return [np.flatnonzero((root == group) & filled) for group in np.unique(root[filled])]


def cut_agglomerates(
    image: np.ndarray,
    masks: CroppedMasks,
    particles: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
    join_px: float = JOIN_PX,
    margin_px: int = MARGIN_PX,
    data_bar_px: int = 0,
) -> tuple[list[Agglomerate], Counter[str]]:
    """Cut out the agglomerates of an image that lie in it with their whole margin, and count the others by reason.

    Args:
        image: (H, W) grey levels.
        masks: N masks of it, specks included.
        particles: N annotations.
        record: the image's entry, with `file_name` and `pixel_size_nm`.
        join_px: distance up to which particles touch, as in `touching_groups`.
        margin_px: rows and columns kept around the particles.
        data_bar_px: rows of the data bar at the image's foot.
    """
    height, width = image.shape[0] - data_bar_px, image.shape[1]
    kept, left_out = [], Counter()
    for members in touching_groups(masks, join_px):
        group = masks[members]
        top, left = (int(edge) for edge in group.origins.min(axis=0) - margin_px)
        bottom, right = (int(edge) for edge in (group.origins + group.sizes).max(axis=0) + margin_px)
        if all(particles[i].get("iscrowd") for i in members):
            left_out[ONLY_SPECKS] += 1
        elif min(top, left) < 0 or right > width or (bottom > height and not data_bar_px):
            left_out[CUT_BY_EDGE] += 1
        elif bottom > height:
            left_out[CUT_BY_DATA_BAR] += 1
        else:
            crop = image[top:bottom, left:right].astype(np.float32)
            known = tuple({k: particles[i][k] for k in KEPT_KEYS if k in particles[i]} for i in members)
            cropped = group.crop((left, top, right, bottom))
            kept.append(Agglomerate(crop, cropped, known, record["file_name"], record["pixel_size_nm"]))
    return kept, left_out


def turned_masks(masks: CroppedMasks, matrix: np.ndarray, shape: tuple[int, int]) -> tuple[CroppedMasks, np.ndarray]:
    """Move masks by an affine map of pixel indices into a crop of (h, w); also return the positions of non-empty masks.

    Disjoint masks are moved as one image of labels by nearest neighbours, which is fast and keeps them disjoint.
    """
    labels = np.zeros(masks.image_shape, np.uint16)
    for label, (crop, (row, column)) in enumerate(masks, start=1):
        window = labels[row : row + crop.shape[0], column : column + crop.shape[1]]
        if np.any(window[crop > 0]):  # overlapping masks do not fit into one image of labels
            moved = masks.affine(matrix, shape)
            kept = np.flatnonzero(moved.sizes[:, 0] > 0)
            return moved[kept], kept
        window[crop > 0] = label
    turned = cv2.warpAffine(labels, matrix, shape[::-1], flags=cv2.INTER_NEAREST)
    return CroppedMasks.from_label_image(turned), np.unique(turned[turned > 0]).astype(np.int64) - 1


def turning_matrix(shape: Sequence[int], angle: float, flip: str | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Map (2, 3) of pixel indices (x, y, 1) that mirrors a crop (h, w) and turns it clockwise by `angle` degrees.

    Also returns (h, w) of the smallest crop with the same middle that holds the whole turned crop.
    """
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    height, width = shape
    new_width = int(np.ceil(width * abs(cosine) + height * abs(sine) - 1e-6))
    new_height = int(np.ceil(width * abs(sine) + height * abs(cosine) - 1e-6))
    signs = [-1.0 if axis in FLIP_AXES.get(flip, ()) else 1.0 for axis in (1, 0)]  # of x, y
    turn = np.array([[cosine, -sine], [sine, cosine]]) * signs
    middle, new_middle = np.array([[width - 1, height - 1], [new_width - 1, new_height - 1]]) / 2
    return np.column_stack([turn, new_middle - turn @ middle]), (new_height, new_width)


@dataclass(frozen=True)
class Seam:
    """Settings for cutting out an agglomerate and joining it to a background."""

    border_px: int = 2  # width of the diffuse border that is cut out around the masks
    band_px: int = 2  # half the width of the band along the cut that the median smooths
    match_level: bool = False  # shift the agglomerate's grey levels to the background's median along the cut

    @property
    def reach_px(self) -> int:
        """Distance from the masks, px, within which pixels are read or written."""
        return self.border_px + self.band_px + MEDIAN_PX // 2


@dataclass(frozen=True, eq=False)
class Cutout:
    """The part of an agglomerate that is pasted: grey levels and region, with room for the seam around them."""

    image: np.ndarray  # (h, w) float32; zero beyond the agglomerate's own crop
    region: np.ndarray  # (h, w) uint8 0/1: pixels that replace the background
    band: np.ndarray  # (h, w) uint8 0/1: pixels on the seam
    origin: tuple[int, int]  # (row, column) of its first pixel in the agglomerate's crop; may be negative


def cut_out(agglomerate: Agglomerate, seam: Seam) -> Cutout:
    """Cut the agglomerate's masks out of its crop, with their diffuse border.

    Raises:
        ValueError: the agglomerate's margin is narrower than the seam's border.
    """
    boxes = agglomerate.masks.boxes
    low = boxes[:, :2].min(axis=0)[::-1].astype(int)
    high = boxes[:, 2:].max(axis=0)[::-1].astype(int)
    if min(*low, *(agglomerate.image.shape - high)) < seam.border_px:
        raise ValueError(
            f"agglomerate of {agglomerate.source}: its margin is narrower than a border of {seam.border_px} px; "
            "build the library with a wider margin"
        )
    reach = seam.reach_px
    window = tuple(slice(first, last + 2 * reach) for first, last in zip(low, high, strict=True))  # of the padded crop
    silhouette = np.pad(agglomerate.masks.union().astype(np.uint8), reach)[window]
    region = cv2.dilate(silhouette, disc(seam.border_px))
    band = cv2.dilate(region, disc(seam.band_px)) - cv2.erode(region, disc(seam.band_px))
    return Cutout(np.pad(agglomerate.image, reach)[window], region, band, tuple((low - reach).tolist()))


def composite(background: np.ndarray, placed: Iterable[tuple[Cutout, tuple[int, int]]], seam: Seam) -> np.ndarray:
    """Return a copy of a background, (H, W) or (H, W, 3), float32 or uint8, 0-255, with cut-outs pasted onto it.

    Each cut-out comes with the (row, column) of its first pixel; the cut-outs' windows lie in the frame and do not
    overlap. A 5 x 5 median smooths the bands. Off the bands a pixel in a cut-out's region is the cut-out's (shifted if
    `match_level`, rounded on uint8), every other pixel is the background's.
    """
    image = background.copy()
    for cutout, (row, column) in placed:
        window = image[row : row + cutout.region.shape[0], column : column + cutout.region.shape[1]]
        pasted, region, band = cutout.image, cutout.region > 0, cutout.band > 0
        if seam.match_level:
            rim = band & region
            pasted = np.clip(pasted + np.float32(np.median(window[rim]) - np.median(pasted[rim])), 0, 255)
        if image.dtype == np.uint8:
            pasted = np.rint(pasted).astype(np.uint8)
        if image.ndim == 3:
            pasted, region, band = pasted[..., None], region[..., None], band[..., None]
        joined = np.where(region, pasted, window)
        window[:] = np.where(band, cv2.medianBlur(joined, MEDIAN_PX), joined)
    return image
