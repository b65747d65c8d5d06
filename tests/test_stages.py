"""The weights that a step of each stage changes, with the real configs on a rendered image."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper

TIO2 = Path(__file__).parents[1] / "configs" / "tio2"


@pytest.fixture(scope="module")
def batch(rendered_set):
    """Two augmented crops of 96 px, made by the light variant's own pipeline."""
    register_all_modules()
    import tio2.datasets  # noqa: F401

    config = Config.fromfile(TIO2 / "light_stage1.py").train_dataloader.dataset
    config.dataset.data_root = f"{rendered_set}/"
    for step in config.dataset.pipeline:
        if step.type == "RandomCrop":
            step.crop_size = (96, 96)
    dataset = DATASETS.build(config | {"seed": 0})
    return pseudo_collate([dataset[0], dataset[1]])


def small(config):
    """Fewer samples, so that a step takes a second or two."""
    config.model.train_cfg.rpn.sampler.num = 64
    config.model.train_cfg.rcnn.sampler.num = 32
    config.model.train_cfg.rpn_proposal.update(nms_pre=200, max_per_img=200)
    config.optim_wrapper.optimizer.lr = 0.1  # 1e-3 times a clipped gradient may vanish in float32's last place
    return config


def step(config, batch):
    """State dicts before and after one training step at the config's own optimizer settings."""
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    model.train()
    # as trained ones: a fresh ResNet's residual branches are scaled by 0 and learn nothing
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.running_mean.normal_(0, 0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = model.train_step(batch, build_optim_wrapper(model, config.optim_wrapper))
    assert all(torch.isfinite(value).all() for value in losses.values())
    return before, model.state_dict(), dict(model.named_parameters())


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("name", ["mask_rcnn_stage1", "light_stage1"])
def test_stage_1_leaves_the_backbone_bit_identical_and_moves_the_rest(name, batch):
    before, after, parameters = step(small(Config.fromfile(TIO2 / f"{name}.py")), batch)
    changed = moved(before, after)
    assert not {key for key in changed if key.startswith("backbone.")}
    assert {key.split(".")[0] for key in changed} == {"neck", "rpn_head", "roi_head"}
    # a ReLU that is off for every sample of so small a batch leaves single biases where they are
    rest = {key for key in parameters if not key.startswith("backbone.")}
    assert len(changed) >= 0.95 * len(rest)


@pytest.mark.parametrize("name", ["mask_rcnn_stage2", "light_stage2"])
def test_stage_2_moves_every_part_of_the_backbone_but_no_statistics(name, batch):
    before, after, parameters = step(small(Config.fromfile(TIO2 / f"{name}.py")), batch)
    changed = moved(before, after)
    assert len(changed) >= 0.95 * len(parameters)
    for part in ("conv1", "layer1", "layer4") if name.startswith("mask") else ("stem", "stages.0", "stages.3"):
        assert any(key.startswith(f"backbone.{part}") for key in changed), part
    assert not {key for key in changed if "running_" in key or "num_batches" in key}
