"""The light detector with small heads, which trains and detects in seconds, as a config and as a program's options."""

from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import BaseModule

import tio2.models  # noqa: F401 - registers what the config names

CONFIGS = Path(__file__).parents[1] / "configs"
CHANNELS = 32
HEADS = {
    "neck": {"out_channels": CHANNELS, "norm_cfg": {"num_groups": 8}},
    "rpn_head": {"in_channels": CHANNELS, "feat_channels": CHANNELS},
    "roi_head": {
        "bbox_roi_extractor": {"out_channels": CHANNELS},
        "bbox_head": {"in_channels": CHANNELS, "fc_out_channels": 32},
        "mask_roi_extractor": {"out_channels": CHANNELS},
        "mask_head": {"num_convs": 1, "in_channels": CHANNELS, "conv_out_channels": 16},
    },
}
MODEL = HEADS | {
    "backbone": {"pretrained": False},
    "test_cfg": {"rpn": {"nms_pre": 100, "max_per_img": 60}, "rcnn": {"score_thr": 0.0, "max_per_img": 25}},
}


def write_config(path: Path, more: str = "", **model: Any) -> Path:
    """Write a config of the network, with random weights; `more` is added to its text, `model` to its model."""
    base = f"_base_ = {str(CONFIGS / 'tio2' / 'light_stage1.py')!r}\n"
    path.write_text(f"{base}model = {MODEL | model!r}\n{more}", encoding="utf-8")
    return path


def build(config: Path) -> BaseModule:
    """Build the network of a config, each time with the same random weights."""
    register_all_modules()
    torch.manual_seed(0)
    return MODELS.build(Config.fromfile(config).model)


def save(model: BaseModule, path: Path) -> Path:
    """Write a model's weights as a checkpoint."""
    torch.save({"state_dict": model.state_dict(), "meta": {}}, path)
    return path


def options(settings: dict, prefix: str = "model") -> list[str]:
    """Settings of a model as words for --cfg-options."""
    words = []
    for key, value in settings.items():
        name = f"{prefix}.{key}"
        words += options(value, name) if isinstance(value, dict) else [f"{name}={value}"]
    return words
