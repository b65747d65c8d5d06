"""A COCO file of particles as an mmdet data set that keeps what the file says of each particle."""

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

from semsize.structures import read_annotations

IMAGE_KEYS = ("pixel_size_nm", "source", "configuration")
PARTICLE_KEYS = (
    "state",
    "source_state",
    "visible_fraction",
    "truncated",
    "ecd_nm",
    "feret_min_nm",
    "feret_max_nm",
)


class ParticleCoco(COCO):
    """COCO's index of an annotation file as `read_annotations` gives it."""

    def __init__(self, annotation_file: str):
        super().__init__()
        self.dataset = read_annotations(annotation_file)
        self.createIndex()
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs  # mmdet's names for them


@DATASETS.register_module()
class ParticleDataset(CocoDataset):
    """CocoDataset of one class, of a file of this project or of any program that `read_annotations` reads.

    Each instance has, beside mmdet's keys, ``fields``: ``annotation_id`` and the PARTICLE_KEYS (None where the file
    has none). Images have the IMAGE_KEYS.
    """

    COCOAPI = ParticleCoco
    METAINFO = {"classes": ("particle",), "palette": [(220, 20, 60)]}  # noqa: RUF012 - mmengine's attribute

    def filter_data(self) -> list[dict]:
        """The images that ``filter_cfg`` lets through.

        Raises:
            ValueError: there is none.
        """
        images = super().filter_data()
        if not images:
            raise ValueError(f"{self.ann_file}: none of its {len(self.data_list)} images is left by {self.filter_cfg}")
        return images

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """One image of the file.

        Args:
            raw_data_info: ``raw_img_info`` and ``raw_ann_info`` as they stand in the file.
        """
        image = raw_data_info["raw_img_info"]
        info = super().parse_data_info({"raw_img_info": image, "raw_ann_info": []})
        info.update({key: image.get(key) for key in IMAGE_KEYS})
        info["instances"] += [self._instance(annotation) for annotation in raw_data_info["raw_ann_info"]]
        return info

    def _instance(self, annotation: dict) -> dict:
        x, y, width, height = annotation["bbox"]
        return {
            "bbox": [x, y, x + width, y + height],
            "bbox_label": self.cat2label[annotation["category_id"]],
            "ignore_flag": int(bool(annotation.get("iscrowd") or annotation.get("ignore"))),
            "mask": annotation["segmentation"],
            "fields": {"annotation_id": annotation["id"], **{key: annotation.get(key) for key in PARTICLE_KEYS}},
        }
