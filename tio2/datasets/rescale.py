"""Random enlargement of an image and its particles, whatever the image's size: of the whole, or of a window in it."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomCrop, Resize
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes


@TRANSFORMS.register_module()
class RandomRescale(BaseTransform):
    """Scales image, boxes and masks by one factor drawn anew each time.

    MMCV's RandomResize draws around a fixed size; particles want a fixed range of factors, so that images of different
    sizes keep their pixel sizes in step.

    Args:
        ratio_range: Smallest and largest factor; 1 leaves the image as it is.
    """

    def __init__(self, ratio_range: tuple[float, float]):
        self.ratio_range = checked_range("RandomRescale", ratio_range)

    @cache_randomness
    def draw_factor(self) -> float:
        """One factor of the range, every factor as likely."""
        return float(np.random.uniform(*self.ratio_range))  # noqa: NPY002 - SeededDataset seeds this one

    def transform(self, results: dict) -> dict:
        """Scale by the drawn factor with MMDetection's own Resize."""
        return Resize(scale_factor=self.draw_factor()).transform(results)


@TRANSFORMS.register_module()
class RandomScaledCrop(BaseTransform):
    """Cuts a window at random and scales it to one size: RandomRescale and a crop, without scaling what is cut away.

    With `stretch` the window's two directions are scaled differently, so that particles come longer and shorter.
    Where the image is smaller than the window, all of it is scaled, and the result is smaller than `crop_size`.

    Args:
        crop_size: (h, w) of the result in pixels.
        ratio_range: Smallest and largest factor of enlargement, every factor's logarithm as likely.
        stretch: Largest ratio of the factors along the two directions, at least 1; 1 keeps the proportions.
        focus: Share of the windows, 0 to 1, that are laid over a particle's centre, each particle as likely, ignored
            regions never; the others lie anywhere. Bunches are seen more often, the substrate less.
    """

    def __init__(
        self, crop_size: tuple[int, int], ratio_range: tuple[float, float], stretch: float = 1.0, focus: float = 0.0
    ):
        self.ratio_range = checked_range("RandomScaledCrop", ratio_range)
        if stretch < 1:
            raise ValueError(f"RandomScaledCrop: stretch is a ratio of 1 or more, not {stretch}")
        if not 0 <= focus <= 1:
            raise ValueError(f"RandomScaledCrop: focus is a share, 0 to 1, not {focus}")
        self.crop_size = tuple(crop_size)
        self.stretch = stretch
        self.focus = focus

    @cache_randomness
    def draw_factors(self) -> tuple[float, float]:
        """Enlargement along rows and along columns; their geometric mean lies in the range."""
        factor, ratio = np.random.uniform(  # noqa: NPY002 - SeededDataset seeds this one
            np.log((self.ratio_range[0], 1 / self.stretch)), np.log((self.ratio_range[1], self.stretch))
        )
        return float(np.exp(factor + ratio / 2)), float(np.exp(factor - ratio / 2))

    @cache_randomness
    def draw_centre(self, boxes: HorizontalBoxes) -> np.ndarray | None:
        """(y, x) of one of the particles, which the window is to hold; None where it may lie anywhere."""
        if not self.focus or not len(boxes) or np.random.uniform() >= self.focus:  # noqa: NPY002 - as above
            return None
        return boxes.centers[np.random.randint(len(boxes))].numpy()[::-1]  # noqa: NPY002

    def transform(self, results: dict) -> dict:
        """Cut with MMDetection's RandomCrop, scale with its Resize."""
        height, width = self.crop_size
        down, across = self.draw_factors()
        window = max(1, round(height / down)), max(1, round(width / across))
        particles = results["gt_bboxes"][~np.asarray(results["gt_ignore_flags"], bool)]
        cut = CropOver(window[::-1], self.draw_centre(particles)).transform(results)
        whole = cut["img_shape"]
        size = (
            width if whole[1] == window[1] else max(1, round(whole[1] * across)),
            height if whole[0] == window[0] else max(1, round(whole[0] * down)),
        )
        return Resize(scale=size, keep_ratio=False).transform(cut)


class CropOver(RandomCrop):
    """MMDetection's RandomCrop, over a point where one is given; boxes are those of what is left, none need be.

    Args:
        crop_size: (w, h) of the window in pixels, as RandomCrop has it.
        point: (y, x) in pixels that the window is to hold, or None; each such window is as likely, and one that reaches
            over the image's rim is moved into it.
    """

    def __init__(self, crop_size: tuple[int, int], point: np.ndarray | None):
        super().__init__(crop_size, allow_negative_crop=True, recompute_bbox=True)
        self.point = point

    def _rand_offset(self, margin: tuple[int, int]) -> tuple[int, int]:
        if self.point is None:
            return super()._rand_offset(margin)
        first = np.random.uniform(self.point - self.crop_size[::-1], self.point)  # noqa: NPY002 - SeededDataset seeds this one
        down, across = np.clip(np.round(first), 0, margin).astype(int)
        return int(down), int(across)


def checked_range(name: str, ratio_range: tuple[float, float]) -> tuple[float, float]:
    """The range, if it is two positive factors in order.

    Raises:
        ValueError: It is not; `name` is the transform's.
    """
    low, high = ratio_range
    if not 0 < low <= high:
        raise ValueError(f"{name}: ratio_range is two positive factors, low and high, not {ratio_range}")
    return low, high
