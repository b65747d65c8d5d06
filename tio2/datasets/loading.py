"""Images and particle annotations, read for an mmdet pipeline."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS

from semsize.sem.reading import read_grey
from semsize.structures.masks import CroppedMasks
from semsize.structures.rle import polygons_to_rles
from tio2.datasets.masks import InstanceCroppedMasks


@TRANSFORMS.register_module()
class LoadSEMImage(BaseTransform):
    """Reads an SEM image of 8 or 16 bits into ``img``, float32 (H, W, 3) of grey levels 0-255.

    Reads ``img_path``; sets ``img``, ``img_shape`` and ``ori_shape``.

    Args:
        intensity_range: (low, high) levels of a 16-bit file that become 0 and 255; None takes its percentiles.
    """

    def __init__(self, intensity_range: tuple[float, float] | None = None):
        self.intensity_range = intensity_range

    def transform(self, results: dict) -> dict:
        """Read ``results['img_path']``.

        Raises:
            SEMReadError: the file is missing or no image; the message names it.
        """
        grey = read_grey(results["img_path"], intensity_range=self.intensity_range)
        results["img"] = np.repeat(grey[:, :, None], 3, axis=2)
        results["img_shape"] = results["ori_shape"] = grey.shape
        return results


@TRANSFORMS.register_module()
class LoadParticleAnnotations(LoadAnnotations):
    """Boxes, labels, ignore flags and cropped masks, from RLE (compressed or not) or polygons.

    Masks come as InstanceCroppedMasks, never as full frames; what else is known of the particles, such as their
    annotation's id and their state, is in its ``fields`` and goes with the masks through crops and filters.

    Args:
        mini_mask_px: longest side of the crops that mask targets are drawn from (paper §3.3 has 96); None: no limit.
    """

    def __init__(self, mini_mask_px: int | None = None):
        super().__init__(with_bbox=True, with_label=True, with_mask=True)
        self.mini_mask_px = mini_mask_px

    def _load_masks(self, results: dict) -> None:
        shape = results["ori_shape"]
        instances = results["instances"]
        try:
            masks = [instance["mask"] for instance in instances]
            drawn = iter(polygons_to_rles([mask for mask in masks if isinstance(mask, list)], shape))
            cropped = CroppedMasks.from_rles([next(drawn) if isinstance(mask, list) else mask for mask in masks], shape)
        except ValueError as error:
            raise ValueError(f"{results['img_path']}: its annotations don't fit: {error}") from error
        names = dict.fromkeys(name for instance in instances for name in instance.get("fields", {}))
        fields = {name: np.array([i.get("fields", {}).get(name) for i in instances], object) for name in names}
        results["gt_masks"] = InstanceCroppedMasks(cropped, fields, self.mini_mask_px)
