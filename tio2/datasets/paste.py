"""Paste agglomerates from a library into images while training (paper §3.2, on the fly).

Both transforms read and change ``img`` (float32 or 8 bits, 0-255), ``gt_bboxes``, ``gt_bboxes_labels``,
``gt_ignore_flags`` and ``gt_masks`` (InstanceCroppedMasks or BitmapMasks; the type stays). Pasted particles keep their
states; their annotation id is None. Each worker reads a file once, when it first needs it.
"""

from abc import abstractmethod
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from tio2.agglomerates import AgglomerateLibrary, Backgrounds, Pasted, PasteSettings, paste_agglomerates
from tio2.datasets.loading import KNOWN_KEYS
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.datasets.sampling import sample_generator

GAP_PX = 3  # kept clear around the image's own particles, for their diffuse border


class _Paste(BaseTransform):
    """Pastes into a share `prob` of the images.

    Args:
        library: file that tools/build_library.py wrote.
        prob: share of the images that agglomerates are pasted into.
        count_range: agglomerates per image, all numbers equally likely; fewer if no more fit.
    """

    def __init__(self, library: str, prob: float = 0.5, count_range: tuple[int, int] = (1, 20)):
        if not 0 <= prob <= 1:
            raise ValueError(f"{type(self).__name__}: prob lies in 0 to 1, not {prob}")
        self.library_path, self.prob = Path(library), prob
        self.settings = PasteSettings(tuple(count_range))
        self._library: AgglomerateLibrary | None = None

    def transform(self, results: dict) -> dict:
        """Paste agglomerates into a share `prob` of the samples.

        Raises:
            LibraryError: the library or the backgrounds cannot be read, or are too small.
        """
        rng = sample_generator(results)
        if rng.random() >= self.prob:
            return results
        if self._library is None:
            self._library = AgglomerateLibrary.load(self.library_path)
        return self._paste(results, self._library, rng)

    @abstractmethod
    def _paste(self, results: dict, library: AgglomerateLibrary, rng: np.random.Generator) -> dict:
        """Put agglomerates of the library into a sample."""


@TRANSFORMS.register_module()
class PasteAgglomerates(_Paste):
    """Puts agglomerates into the free space of the image."""

    def _paste(self, results: dict, library: AgglomerateLibrary, rng: np.random.Generator) -> dict:
        boxes = results["gt_bboxes"].tensor.numpy()[:, [1, 0, 3, 2]]  # top, left, bottom, right
        low, high = np.floor(boxes[:, :2]) - GAP_PX, np.ceil(boxes[:, 2:]) + GAP_PX
        occupied = np.concatenate([low, high], axis=1).astype(int).tolist()
        pasted = paste_agglomerates(results["img"], library, rng, self.settings, occupied)
        results["img"] = pasted.image
        return with_particles(results, pasted, kept=len(boxes))


@TRANSFORMS.register_module()
class PasteOnBackground(_Paste):
    """Replaces the image by a background of the same size with agglomerates on it.

    Arguments are those of `PasteAgglomerates`, and `backgrounds`: a folder of empty images, each at least as large as
    the images of the data set.
    """

    def __init__(self, library: str, backgrounds: str, prob: float = 0.5, count_range: tuple[int, int] = (1, 20)):
        super().__init__(library, prob, count_range)
        self.backgrounds_path = backgrounds
        self._backgrounds: Backgrounds | None = None

    def _paste(self, results: dict, library: AgglomerateLibrary, rng: np.random.Generator) -> dict:
        if self._backgrounds is None:
            self._backgrounds = Backgrounds(self.backgrounds_path)
        image = results["img"]
        background, _ = self._backgrounds.draw(image.shape[:2], rng)
        pasted = paste_agglomerates(background, library, rng, self.settings)
        grey = np.rint(pasted.image) if image.dtype == np.uint8 else pasted.image
        results["img"] = cv2.cvtColor(grey.astype(image.dtype, copy=False), cv2.COLOR_GRAY2BGR)
        return with_particles(results, pasted, kept=0)


def with_particles(results: dict, pasted: Pasted, kept: int) -> dict:
    """The sample with its first `kept` particles and the pasted ones; its masks keep their type.

    Raises:
        TypeError: masks are of a type that cannot be joined.
    """
    ignored = np.array([bool(particle.get("iscrowd")) for particle in pasted.particles], bool)
    boxes = torch.cat([results["gt_bboxes"].tensor[:kept], torch.from_numpy(pasted.masks.boxes)])
    results["gt_bboxes"] = HorizontalBoxes(boxes)
    labels = np.zeros(len(pasted.masks), np.int64)
    results["gt_bboxes_labels"] = np.append(results["gt_bboxes_labels"][:kept], labels)
    results["gt_ignore_flags"] = np.append(results["gt_ignore_flags"][:kept], ignored)
    masks = results["gt_masks"]
    if isinstance(masks, BitmapMasks):
        joined = np.concatenate([masks.masks[:kept], pasted.masks.to_full()])
        results["gt_masks"] = BitmapMasks(joined, masks.height, masks.width)
        return results
    if not isinstance(masks, InstanceCroppedMasks):
        kind = type(masks).__name__
        raise TypeError(f"cannot paste into masks of type {kind}; load them by LoadParticleAnnotations, or as bitmaps")
    names = list(masks.fields) if kept else ["annotation_id", *KNOWN_KEYS]
    fields = {name: np.array([particle.get(name) for particle in pasted.particles], object) for name in names}
    new = InstanceCroppedMasks(pasted.masks, fields)
    results["gt_masks"] = InstanceCroppedMasks.cat([masks[:kept], new]) if kept else new
    return results
