"""Read a COCO file of particles as an MMDetection data set, and load its images and annotations in a pipeline."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import DATASETS, TRANSFORMS

from semsize.sem.reading import read_grey
from semsize.structures import read_annotations
from semsize.structures.annotations import OWN_IMAGE_KEYS, OWN_PARTICLE_KEYS, TRUTH_KEYS
from semsize.structures.masks import CroppedMasks
from semsize.structures.rle import polygons_to_rles
from tio2.datasets.masks import InstanceCroppedMasks

KNOWN_KEYS = (*OWN_PARTICLE_KEYS, *TRUTH_KEYS)
"""Keys of an annotation that a pipeline keeps besides the mask."""


class ParticleCoco(COCO):
    """COCO's index of an annotation file that `read_annotations` reads."""

    def __init__(self, annotation_file: str):
        super().__init__()
        self.dataset = read_annotations(annotation_file)
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs  # MMDetection's names for them


@DATASETS.register_module()
class ParticleDataset(CocoDataset):
    """CocoDataset of the class `particle`, from any annotation file that `read_annotations` reads.

    Each instance has, besides MMDetection's keys, ``fields``: ``annotation_id`` and the KNOWN_KEYS (None if missing in
    the file). Images have the OWN_IMAGE_KEYS.
    """

    COCOAPI = ParticleCoco
    METAINFO = {"classes": ("particle",), "palette": [(220, 20, 60)]}  # noqa: RUF012 - mmengine's attribute

    def filter_data(self) -> list[dict]:
        """Return the images that ``filter_cfg`` keeps; ValueError if it keeps none."""
        images = super().filter_data()
        if not images:
            raise ValueError(f"{self.ann_file}: none of its {len(self.data_list)} images is left by {self.filter_cfg}")
        return images

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Return the data of one image from the file's entries ``raw_img_info`` and ``raw_ann_info``."""
        image = raw_data_info["raw_img_info"]
        info = super().parse_data_info({"raw_img_info": image, "raw_ann_info": []})
        info.update({key: image.get(key) for key in OWN_IMAGE_KEYS})
        info["instances"] += [self._instance(annotation) for annotation in raw_data_info["raw_ann_info"]]
        return info

    def _instance(self, annotation: dict) -> dict:
        x, y, width, height = annotation["bbox"]
        return {
            "bbox": [x, y, x + width, y + height],
            "bbox_label": self.cat2label[annotation["category_id"]],
            "ignore_flag": int(bool(annotation.get("iscrowd") or annotation.get("ignore"))),
            "mask": annotation["segmentation"],
            "fields": {"annotation_id": annotation["id"], **{key: annotation.get(key) for key in KNOWN_KEYS}},
        }


@TRANSFORMS.register_module()
class LoadSEMImage(BaseTransform):
    """Reads ``img_path``, an SEM image of 8 or 16 bits, into ``img``, float32 (H, W, 3) of grey levels 0-255.

    Args:
        intensity_range: (low, high) levels of a 16-bit file that become 0 and 255; None: percentiles of the specimen.
    """

    def __init__(self, intensity_range: tuple[float, float] | None = None):
        self.intensity_range = intensity_range

    def transform(self, results: dict) -> dict:
        """Set ``img``, ``img_shape`` and ``ori_shape``; a SEMReadError names a file that is missing or no image."""
        grey = read_grey(results["img_path"], intensity_range=self.intensity_range)
        results["img"] = np.repeat(grey[:, :, None], 3, axis=2)
        results["img_shape"] = results["ori_shape"] = grey.shape
        return results


@TRANSFORMS.register_module()
class LoadParticleAnnotations(LoadAnnotations):
    """Loads boxes, labels, ignore flags and cropped masks, from RLE (compressed or not) or polygons.

    Masks are InstanceCroppedMasks, never full frames. Their ``fields`` hold the annotation's id, the state and whatever
    else is known of each particle, and stay with the masks through crops and filters.
    """

    def __init__(self):
        super().__init__(with_bbox=True, with_label=True, with_mask=True)

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
        results["gt_masks"] = InstanceCroppedMasks(cropped, fields)
