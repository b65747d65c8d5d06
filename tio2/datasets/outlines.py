"""Outlines as samples: each outline that a detector found in an image is cut out, together with its truth.

A pipeline reads an image (`LoadSEMImage`), takes its outlines and their truth (`LoadOutlines`), may change the grey
levels, cuts crops (`CropOutlines`), may turn them (`TurnCrops`), and packs them (`PackOutlineCrops`). The functions
that these transforms call are in `semsize.visibility`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from semsize.metrology.matching import OPERATING_SCORE
from semsize.sem.image_sets import found_outlines
from semsize.structures import AnnotationError
from semsize.structures.masks import CroppedMasks
from semsize.visibility.crops import CHANNELS, CROP_PX, mask_crops, particle_crops, windows
from semsize.visibility.states import fraction_bins
from semsize.visibility.truth import outline_truth, sizes_px
from tio2.datasets.loading import ParticleDataset
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.datasets.sampling import sample_generator

IMAGE_KEYS = ("img_id", "img_path", "ori_shape", "pixel_size_nm")
WAYS = 8
"""Orientations of a square: four turns, each with and without a transposition before."""


@DATASETS.register_module()
class OutlineDataset(ParticleDataset):
    """The images of an annotation file with the outlines that were found in them.

    Each image has ``particles``, its annotations, and ``outlines``, RLEs. Other arguments are ParticleDataset's.

    Args:
        predictions: Predictions file (`tools/test.py` of the detector writes it); None takes the annotated particles
            themselves, without regions to ignore.
        min_score: Outlines found with a lower score are left out.
        configurations: Images of other configurations, or without any, are left out; None takes all.
    """

    def __init__(
        self,
        *args,
        predictions: str | None = None,
        min_score: float = OPERATING_SCORE,
        configurations: Sequence[str] | None = None,
        **kwargs,
    ):
        self.predictions, self.min_score, self.configurations = predictions, min_score, configurations
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return the images; ValueError if the predictions are of other images, or none has a listed configuration."""
        images = super().load_data_list()
        if self.predictions:
            names = {image["img_id"]: image["img_path"] for image in images}
            found = found_outlines(self.predictions, names, self.min_score)
            for image in images:
                image["outlines"] = found[image["img_id"]]
        if self.configurations is None:
            return images
        images = [image for image in images if image["configuration"] in self.configurations]
        if not images:
            raise AnnotationError(f"{self.ann_file}: none of its images is {' or '.join(self.configurations)}")
        return images

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Return the data of one image from the file's entries ``raw_img_info`` and ``raw_ann_info``."""
        particles = raw_data_info["raw_ann_info"]
        info = super().parse_data_info({"raw_img_info": raw_data_info["raw_img_info"], "raw_ann_info": []})
        outlines = [particle["segmentation"] for particle in particles if not particle["iscrowd"]]
        return info | {"particles": particles, "outlines": outlines}


@TRANSFORMS.register_module()
class LoadOutlines(BaseTransform):
    """Decodes ``outlines`` into CroppedMasks, leaves out empty ones, and adds their ``truth``, an `OutlineTruth`."""

    def transform(self, results: dict) -> dict:
        """Set ``outlines`` and ``truth`` of a sample."""
        outlines = CroppedMasks.from_rles(results["outlines"], results["ori_shape"])
        results["outlines"] = outlines = outlines[outlines.areas > 0]
        results["truth"] = outline_truth(outlines, results["particles"], results.get("pixel_size_nm"))
        return results


@TRANSFORMS.register_module()
class CropOutlines(BaseTransform):
    """Cuts K outlines of an image: ``crops`` (K, 4, 64, 64), and the true whole outlines as ``whole`` (K, 64, 64).

    Args:
        number: Most outlines of an image, drawn at random without repeats; None takes all in their order.
    """

    def __init__(self, number: int | None = None):
        if number is not None and number < 1:
            raise ValueError(f"CropOutlines: number is 1 or more, or None for all, not {number}")
        self.number = number

    def transform(self, results: dict) -> dict:
        """Set ``crops`` and ``whole``; ``outlines`` and ``truth`` keep only the outlines that are cut."""
        outlines = results["outlines"]
        chosen = np.arange(len(outlines))
        if self.number is not None:
            chosen = sample_generator(results).permutation(len(outlines))[: self.number]
        grey = np.ascontiguousarray(results["img"][..., 0])
        parts = list(particle_crops(grey, outlines, chosen=chosen.tolist()))
        nothing = np.zeros((0, len(CHANNELS), CROP_PX, CROP_PX), np.float32)
        results["crops"] = np.concatenate([nothing, *parts])
        results["outlines"], results["truth"] = outlines[chosen], results["truth"][chosen]
        results["whole"] = mask_crops(results["truth"].whole, windows(results["outlines"]))
        return results


@TRANSFORMS.register_module()
class TurnCrops(BaseTransform):
    """Turns and mirrors each crop into one of eight orientations, all equally likely."""

    def transform(self, results: dict) -> dict:
        """Turn ``crops`` and ``whole`` together."""
        ways = sample_generator(results).integers(WAYS, size=len(results["crops"]))
        results["crops"], results["whole"] = (laid(results[name], ways) for name in ("crops", "whole"))
        return results


def laid(squares: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Turn squares (K, …, s, s) into orientations 0 to 7: turned by a multiple of 90°, from 4 on transposed before."""
    result = np.empty_like(squares)
    for target, square, way in zip(result, squares, ways.tolist(), strict=True):
        target[...] = np.rot90(square.swapaxes(-2, -1) if way >= WAYS // 2 else square, way % (WAYS // 2), (-2, -1))
    return result


@TRANSFORMS.register_module()
class PackOutlineCrops(BaseTransform):
    """Packs crops as ``inputs`` and their truth as the ``gt_instances`` of a data sample.

    Each of K instances has MMDetection's ``bboxes`` and ``labels``, its outline (``masks``), and its truth (in brackets
    the value if unknown): ``is_particle`` 1 or 0 (NaN), ``fraction_bin`` (-1), ``visibility_class`` (-1), ``whole``
    (K, 64, 64) if ``whole_is_known``, ``log_sizes`` (K, 3), logarithms of true sizes over the outline's (NaN).

    Args:
        with_image: For a test, add the image's ``grey`` (H, W), its annotations as ``particles``, and the
            `OutlineTruth` of the outlines as ``truth``.
    """

    def __init__(self, with_image: bool = False):
        self.with_image = with_image

    def transform(self, results: dict) -> dict:
        """Pack a sample into ``inputs`` and ``data_samples``."""
        outlines, truth = results["outlines"], results["truth"]
        sample = DetDataSample(metainfo={name: results.get(name) for name in IMAGE_KEYS})
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(outlines.boxes),
            labels=torch.zeros(len(outlines), dtype=torch.long),
            masks=InstanceCroppedMasks(outlines),
            is_particle=torch.from_numpy(truth.is_particle).float(),
            fraction_bin=torch.from_numpy(fraction_bins(truth.visible_fraction)),
            visibility_class=torch.from_numpy(truth.visibility_class),
            whole=torch.from_numpy(results["whole"]),
            whole_is_known=torch.from_numpy(truth.whole_is_known),
            log_sizes=torch.from_numpy(np.log(truth.sizes_px / sizes_px(outlines))).float(),
        )
        if self.with_image:
            sample.set_field(truth, "truth")
            sample.set_field(results["particles"], "particles")
            sample.set_field(np.ascontiguousarray(results["img"][..., 0]), "grey")
        return {"inputs": torch.from_numpy(results["crops"]), "data_samples": sample}
