"""Runs that take seconds, with the hooks and the loop of configs/_base_/runtime.py around a model of six weights."""

import functools
import itertools
import os
from pathlib import Path

import torch
from mmdet.registry import DATASETS, MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module
from mmengine.structures import InstanceData

from semsize.structures.masks import CroppedMasks
from tio2.datasets import InstanceCroppedMasks

RUNTIME = Path(__file__).parents[1] / "configs" / "_base_" / "runtime.py"
IMAGES = 5
_names = itertools.count()
runner_module.collect_env = functools.cache(runner_module.collect_env)  # it starts the compiler in each run


@DATASETS.register_module()
class ToyImages(BaseDataset):
    """Five images that hold only their number."""

    def load_data_list(self) -> list[dict]:
        return [{"number": number} for number in range(IMAGES)]


@TRANSFORMS.register_module()
class ToyPack:
    """An image's number and its sample's random numbers, packed as PackDetInputs packs an image."""

    def __call__(self, info: dict) -> dict:
        generator = torch.Generator().manual_seed(hash(info["sample_seed"]) % 2**31)
        sample = DetDataSample(
            metainfo={"img_path": f"images/{info['number']}.png", "img_id": info["number"], "k": info["sample_seed"][1]}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0), masks=InstanceCroppedMasks(CroppedMasks.empty((4, 4)))
        )
        return {"inputs": torch.rand(3, generator=generator), "data_samples": sample}


@MODELS.register_module()
class ToyModel(BaseModel):
    """A regression with dropout from torch's generator; `spoil`: sample k to a value, such as NaN, for its loss."""

    def __init__(self, spoil: dict[int, float] | None = None, precision: str = "float32"):
        super().__init__()
        self.precision_name = precision
        self.layer = torch.nn.Linear(3, 2, bias=False)
        self.spoil = spoil or {}
        self.seen = []

    def init_weights(self):
        torch.manual_seed(0)
        torch.nn.init.normal_(self.layer.weight)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        if mode == "predict":
            return data_samples
        numbers = [sample.k for sample in data_samples]
        self.seen += numbers
        spoilt = sum(self.spoil.get(k, 0.0) for k in numbers)
        with torch.autocast("cpu", getattr(torch, self.precision_name), enabled=self.precision_name != "float32"):
            outputs = self.layer(torch.stack(inputs)).float()
        outputs = torch.nn.functional.dropout(outputs, 0.5)
        return {"loss_toy": ((outputs - 1) ** 2).mean() * (1 + spoilt)}


class SignalAt(Hook):
    """Sends a signal to this process in a given step."""

    priority = "VERY_HIGH"

    def __init__(self, step, number):
        self.step, self.number = step, number

    def after_train_iter(self, runner, **_):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)


def toy_config(work_dir, **changes) -> Config:
    """Three epochs of four steps of two samples; `changes` are dotted options."""
    config = Config.fromfile(RUNTIME)
    config.merge_from_dict(
        {
            "model": {"type": "ToyModel"},
            "train_dataloader": {
                "batch_size": 2,
                "num_workers": 0,
                "sampler": {"type": "FixedLengthSampler", "num_batches": 4, "batch_size": 2},
                "dataset": {
                    "type": "SeededDataset",
                    "dataset": {"type": "ToyImages", "serialize_data": False, "pipeline": [{"type": "ToyPack"}]},
                },
            },
            "optim_wrapper": {
                "type": "LossScalingOptimWrapper",
                "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
                "clip_grad": {"max_norm": 5.0},
            },
            "param_scheduler": [
                {"type": "CosineAnnealingLR", "by_epoch": True, "T_max": 3, "convert_to_iter_based": True}
            ],
            "train_cfg": {"type": "ResumableTrainLoop", "max_epochs": 3},
            "work_dir": str(work_dir),
            "launcher": "none",
            "experiment_name": f"toy_{next(_names)}",
            "vis_backends": [],
            "visualizer.vis_backends": [],
            "log_level": "ERROR",
        }
    )
    for name in ("val_cfg", "test_cfg"):
        config.pop(name)
    config.merge_from_dict(changes)
    return config


def validation(stage="val") -> dict:
    """Changes by which the run processes the five images one by one, in its validation or in a test."""
    return {
        f"{stage}_dataloader": {
            "batch_size": 1,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": {
                "type": "SeededDataset",
                "seed": 0,
                "dataset": {"type": "ToyImages", "serialize_data": False, "pipeline": [{"type": "ToyPack"}]},
            },
        },
        f"{stage}_evaluator": [],
        f"{stage}_cfg": {"type": f"{stage.title()}Loop"},
    }


def toy_runner(work_dir, hooks=(), **changes) -> Runner:
    """The Runner of a toy run, with additional hooks."""
    runner = Runner.from_cfg(toy_config(work_dir, **changes))
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def weights_of(runner: Runner) -> torch.Tensor:
    """A copy of the toy's weights."""
    return runner.model.layer.weight.detach().clone()


def end_workers(*runners: Runner) -> None:
    """End loaders' workers that outlive their epoch; left to the garbage collector it takes seconds each."""
    for runner in runners:
        if runner.train_dataloader.num_workers:
            runner.train_dataloader._iterator._shutdown_workers()
