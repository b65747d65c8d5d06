"""A Mask R-CNN of the project's parts, small enough for seconds on a CPU."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

import tio2.models  # noqa: F401  registers the parts


def _assigner(positive, negative, low_quality):
    return {
        "type": "ChunkedMaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": negative,
        "match_low_quality": low_quality,
    }


def _sampler(fraction, add_truths):
    return {
        "type": "RandomSampler",
        "num": 32,
        "pos_fraction": fraction,
        "neg_pos_ub": -1,
        "add_gt_as_proposals": add_truths,
    }


def _roi_extractor(cells):
    return {
        "type": "DenseRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": cells, "sampling_ratio": 0},
        "out_channels": 32,
        "featmap_strides": [4, 8, 16, 32],
    }


_CODER = {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4}
_PROPOSALS = {"nms_pre": 200, "max_per_img": 40, "nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 0}
_CONFIG = {
    "type": "MaskRCNN",
    "data_preprocessor": {
        "type": "DetDataPreprocessor",
        "mean": [127.0] * 3,
        "std": [128.0] * 3,
        "pad_mask": True,
        "pad_size_divisor": 32,
    },
    "backbone": {"type": "EfficientNetLite"},
    "neck": {
        "type": "FPN",
        "in_channels": [24, 40, 112, 320],
        "out_channels": 32,
        "num_outs": 5,
        "norm_cfg": {"type": "GN", "num_groups": 8},
    },
    "rpn_head": {
        "type": "DenseRPNHead",
        "in_channels": 32,
        "feat_channels": 32,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "strides": [4, 8, 16, 32, 64],
            "base_sizes": [8, 16, 32, 64, 96],
            "scales": [1.0],
            "ratios": [0.5, 1.0, 2.0],
        },
        "bbox_coder": {**_CODER, "target_stds": [1.0] * 4},
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "L1Loss"},
    },
    "roi_head": {
        "type": "DenseRoIHead",
        "bbox_roi_extractor": _roi_extractor(7),
        "bbox_head": {
            "type": "Shared2FCBBoxHead",
            "in_channels": 32,
            "fc_out_channels": 64,
            "roi_feat_size": 7,
            "num_classes": 1,
            "bbox_coder": {**_CODER, "target_stds": [0.1, 0.1, 0.2, 0.2]},
            "loss_cls": {"type": "CrossEntropyLoss"},
            "loss_bbox": {"type": "L1Loss"},
        },
        "mask_roi_extractor": _roi_extractor(14),
        "mask_head": {
            "type": "HighResFCNMaskHead",
            "num_convs": 1,
            "in_channels": 32,
            "conv_out_channels": 32,
            "num_classes": 1,
        },
    },
    "train_cfg": {
        "rpn": {
            "assigner": _assigner(0.7, 0.3, True),
            "sampler": _sampler(0.5, False),
            "allowed_border": -1,
            "pos_weight": -1,
        },
        "rpn_proposal": _PROPOSALS,
        "rcnn": {
            "assigner": _assigner(0.5, 0.5, False),
            "sampler": _sampler(0.25, True),
            "mask_size": 56,
            "pos_weight": -1,
        },
    },
    "test_cfg": {
        "rpn": _PROPOSALS,
        "rcnn": {
            "score_thr": 0.05,
            "nms": {"type": "nms", "iou_threshold": 0.5},
            "max_per_img": 30,
            "mask_thr_binary": 0.5,
        },
    },
}


@pytest.fixture(scope="session")
def build_model():
    """Build the small Mask R-CNN from one start; `edit` changes its config first."""
    register_all_modules()

    def build(edit=None):
        config = ConfigDict(copy.deepcopy(_CONFIG))
        if edit is not None:
            edit(config)
        torch.manual_seed(0)
        return MODELS.build(config)

    return build


@pytest.fixture
def batch():
    """Two images of 128 x 96, enlarged twice for the network, as a pipeline packs them."""
    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randint(0, 256, (3, 192, 256), generator=generator, dtype=torch.uint8) for _ in range(2)]
    samples = []
    for number in range(2):
        meta = {
            "img_id": number,
            "img_path": f"somewhere/{number}.png",
            "ori_shape": (96, 128),
            "img_shape": (192, 256),
            "scale_factor": (2.0, 2.0),
        }
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData()
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}
