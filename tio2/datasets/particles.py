"""A COCO file of particles as an mmdet data set that keeps what the file says of each particle."""

from collections import Counter

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

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


@DATASETS.register_module()
class ParticleDataset(CocoDataset):
    """CocoDataset of one class.

    Each instance has, beside mmdet's keys, ``fields``: ``annotation_id`` and the PARTICLE_KEYS (None where the file
    has none). Images have the IMAGE_KEYS. Annotations that cannot be trained on are counted and logged, by reason.
    """

    METAINFO = {"classes": ("particle",), "palette": [(220, 20, 60)]}  # noqa: RUF012 - mmengine's attribute

    def load_data_list(self) -> list[dict]:
        """Images with their particles, in the file's order of image ids.

        Raises:
            ValueError: the file has none of the classes.
        """
        self.dropped: Counter[str] = Counter()
        images = super().load_data_list()
        if not self.cat_ids:
            raise ValueError(f"{self.ann_file}: none of its categories is one of {self.metainfo['classes']}")
        if self.dropped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
            print_log(f"{self.ann_file}: annotations left out: {reasons}", logger="current")
        return images

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
        for annotation in raw_data_info["raw_ann_info"]:
            reason = self._reason_to_drop(annotation, image)
            if reason:
                self.dropped[reason] += 1
            else:
                info["instances"].append(self._instance(annotation))
        return info

    def _reason_to_drop(self, annotation: dict, image: dict) -> str | None:
        x, y, width, height = annotation["bbox"]
        if annotation["category_id"] not in self.cat_ids:
            return "of another class"
        if not annotation.get("segmentation"):
            return "without a mask"
        if annotation["area"] <= 0 or width <= 0 or height <= 0:
            return "empty"
        if x >= image["width"] or y >= image["height"] or x + width <= 0 or y + height <= 0:
            return "outside their image"
        return None

    def _instance(self, annotation: dict) -> dict:
        x, y, width, height = annotation["bbox"]
        return {
            "bbox": [x, y, x + width, y + height],
            "bbox_label": self.cat2label[annotation["category_id"]],
            "ignore_flag": int(bool(annotation.get("iscrowd") or annotation.get("ignore"))),
            "mask": annotation["segmentation"],
            "fields": {"annotation_id": annotation["id"], **{key: annotation.get(key) for key in PARTICLE_KEYS}},
        }
