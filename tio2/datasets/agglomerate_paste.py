"""Agglomerates from a library pasted while training (paper §3.2, on the fly)."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from tio2.agglomerates import AgglomerateLibrary, Backgrounds, Pasted, PasteSettings, Seam, paste_agglomerates
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.datasets.particles import PARTICLE_KEYS
from tio2.datasets.sample_rng import sample_generator

GAP_PX = 3  # kept clear around the particles of the image that is pasted onto: their diffuse border


@TRANSFORMS.register_module()
class AgglomeratePaste(BaseTransform):
    """Puts agglomerates into the free space of the image, or makes a new image of the same size from a background.

    Reads and changes ``img`` (float32 or 8 bits, 0-255), ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags`` and
    ``gt_masks`` (InstanceCroppedMasks or BitmapMasks, and stays what it is). Pasted particles keep their states; their
    annotation id is None. Library and backgrounds are read when they are first needed, once in each worker.

    Args:
        library: file that tools/build_library.py wrote.
        mode: ``onto`` adds to the image, ``new`` replaces it.
        backgrounds: folder of empty images for ``new``, each as large as the images at least.
        prob: share of the images that are pasted to or replaced.
        count_range: agglomerates an image, any number as likely; fewer where no more fit.
        match_level: shift agglomerates to the grey level of their new surroundings.
    """

    def __init__(
        self,
        library: str,
        mode: str = "onto",
        backgrounds: str | None = None,
        prob: float = 0.5,
        count_range: tuple[int, int] = (1, 20),
        match_level: bool = False,
    ):
        if mode not in ("onto", "new"):
            raise ValueError(f"AgglomeratePaste: mode is 'onto' or 'new', not {mode!r}")
        if (backgrounds is None) != (mode == "onto"):
            raise ValueError("AgglomeratePaste: backgrounds are for mode 'new', which needs them; 'onto' takes none")
        if not 0 <= prob <= 1:
            raise ValueError(f"AgglomeratePaste: prob lies in 0 to 1, not {prob}")
        self.library_path, self.mode, self.backgrounds_path, self.prob = Path(library), mode, backgrounds, prob
        self.settings = PasteSettings(tuple(count_range), seam=Seam(match_level=match_level))
        self._library: AgglomerateLibrary | None = None
        self._backgrounds: Backgrounds | None = None

    def transform(self, results: dict) -> dict:
        """Paste.

        Raises:
            LibraryError: the library or the backgrounds cannot be read, or are too small.
        """
        rng = sample_generator(results)
        if rng.random() >= self.prob:
            return results
        if self._library is None:
            self._library = AgglomerateLibrary.load(self.library_path)
            self._backgrounds = Backgrounds(self.backgrounds_path) if self.backgrounds_path else None
        image = results["img"]
        if self.mode == "onto":
            boxes = results["gt_bboxes"].tensor.numpy()[:, [1, 0, 3, 2]]
            low, high = np.floor(boxes[:, :2]) - GAP_PX, np.ceil(boxes[:, 2:]) + GAP_PX
            occupied = np.concatenate([low, high], axis=1).astype(int).tolist()
            pasted = paste_agglomerates(image, self._library, rng, self.settings, occupied)
            results["img"] = pasted.image
        else:
            background, _ = self._backgrounds.draw(image.shape[:2], rng)
            pasted = paste_agglomerates(background, self._library, rng, self.settings)
            grey = np.rint(pasted.image) if image.dtype == np.uint8 else pasted.image
            results["img"] = cv2.cvtColor(grey.astype(image.dtype, copy=False), cv2.COLOR_GRAY2BGR)
        return self._with_particles(results, pasted)

    def _with_particles(self, results: dict, pasted: Pasted) -> dict:
        kept = len(results["gt_bboxes"]) if self.mode == "onto" else 0
        count = len(pasted.masks)
        ignored = np.array([bool(particle.get("iscrowd")) for particle in pasted.particles], bool)
        boxes = torch.cat([results["gt_bboxes"].tensor[:kept], torch.from_numpy(pasted.masks.boxes)])
        results["gt_bboxes"] = HorizontalBoxes(boxes)
        results["gt_bboxes_labels"] = np.append(results["gt_bboxes_labels"][:kept], np.zeros(count, np.int64))
        results["gt_ignore_flags"] = np.append(results["gt_ignore_flags"][:kept], ignored)
        results["gt_masks"] = joined_masks(results["gt_masks"], kept, pasted)
        return results


def joined_masks(
    masks: InstanceCroppedMasks | BitmapMasks, kept: int, pasted: Pasted
) -> InstanceCroppedMasks | BitmapMasks:
    """The first `kept` masks and the pasted ones, in the type that they have.

    Raises:
        TypeError: it is another type.
    """
    if isinstance(masks, BitmapMasks):
        return BitmapMasks(np.concatenate([masks.masks[:kept], pasted.masks.to_full()]), masks.height, masks.width)
    if not isinstance(masks, InstanceCroppedMasks):
        raise TypeError(
            f"AgglomeratePaste: masks are {type(masks).__name__}; load them by LoadParticleAnnotations, or as bitmaps"
        )
    names = list(masks.fields) if kept else ["annotation_id", *PARTICLE_KEYS]
    fields = {name: np.array([particle.get(name) for particle in pasted.particles], object) for name in names}
    new = InstanceCroppedMasks(pasted.masks, fields, masks.mini_mask_px)
    return InstanceCroppedMasks.cat([masks[:kept], new]) if kept else new
