"""Train a shipped model on a few images and rendered scenes for a given time: the config, and the hook that ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from semsize.detecting.joining import COMFORTABLE_PX
from semsize.detecting.models import ROOT, ShippedModel
from semsize.structures import read_annotations
from semsize.structures.parts import usable_cores
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2.engine import launch
from tio2.engine.checkpoints import checkpoint_name, newest_checkpoint
from tio2.engine.config import ConfigError
from tio2.engine.resumption import WHOLE_FILES, TrainingStopped, position_meta

CONFIG = ROOT / "configs" / "tio2" / "own_data.py"
STEPS_PER_EPOCH = 10
MOST_EPOCHS = 100_000
WARM_UP = 0.05
"""Share of a training in which the learning rate rises."""

OWN_SHARE = 2 / 3
"""Share of the samples that show own images; the others show rendered scenes, so that the model forgets nothing."""

SIZES_SEEN = (0.4, 2.0)
"""Range of the median particle's size after a random enlargement, over `COMFORTABLE_PX`."""

ENLARGED = (0.1, 4.0)
"""Smallest and largest enlargement."""

SCENES = DatasetPlan(
    RenderSettings(seed=0, shape=(352, 512), preset="varied", pixel_size_nm=(1.8, 3.7, 7.344, 14.7), variety=1.6),
    num=24,
    fractions=(1.0, 0.0, 0.0),
)
"""Scenes that are rendered if none are given: several kinds of bodies at several pixel sizes."""


def rate_factor(share: float) -> float:
    """Factor of the learning rate after a share (0 to 1) of a training: a linear rise, times a cosine that falls to 0.

    >>> [round(rate_factor(share), 3) for share in (0.0, 0.025, 0.5, 1.0)]
    [0.01, 0.499, 0.5, 0.0]
    """
    rise = min(1.0, max(0.01, share / WARM_UP))
    return rise * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


@HOOKS.register_module()
class TimedTrainingHook(Hook):
    """Ends a training after the epoch that reaches the given minutes or steps; the learning rate falls to 0 by then.

    With steps, the same seed gives the same weights. The hook writes the only checkpoint, at the end.
    """

    priority = "LOWEST"

    def __init__(self, minutes: float | None = None, steps: int | None = None):
        """Take minutes or steps; ValueError unless exactly one of them is given, above 0."""
        if (minutes is None) == (steps is None) or not (minutes or steps or 0) > 0:
            raise ValueError("a training takes either minutes or steps, above 0")
        self.minutes, self.steps = minutes, steps

    def before_train(self, runner: Runner) -> None:
        """Start the clock, and keep the learning rates."""
        self._began = time.monotonic()
        self._rates = [group["lr"] for group in runner.optim_wrapper.param_groups]
        self._bar = tqdm(total=100, desc="learning", unit="%", disable=None)

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None) -> None:  # noqa: ARG002
        """Set the learning rate of the step that begins."""
        factor = rate_factor(self._share(runner.iter))
        for group, rate in zip(runner.optim_wrapper.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def after_train_epoch(self, runner: Runner) -> None:
        """End the training if its time is over."""
        share = self._share(runner.iter)
        self._bar.set_postfix(
            loss=f"{runner.message_hub.get_scalar('train/loss').mean(STEPS_PER_EPOCH):.3f}", refresh=False
        )
        self._bar.update(math.floor(100 * min(share, 1.0)) - self._bar.n)
        if share >= 1:
            runner.train_loop.stop_training = True

    def after_train(self, runner: Runner) -> None:
        """Write the checkpoint of the ended training."""
        self._bar.close()
        meta = position_meta(runner, epoch=runner.epoch, iter=runner.iter)
        options = {"meta": meta, "save_param_scheduler": False, "backend_args": dict(WHOLE_FILES)}
        runner.save_checkpoint(runner.work_dir, checkpoint_name(runner.epoch), **options)

    def _share(self, steps_done: int) -> float:
        if self.steps is not None:
            return steps_done / self.steps
        return (time.monotonic() - self._began) / (60 * self.minutes)


def rendered_scenes(folder: Path) -> Path:
    """Render `SCENES` into a folder, and return the folder."""
    render_dataset(SCENES, folder, usable_cores())
    return folder


def train(data: Path, scenes: Path, run: Path, start: ShippedModel, **limit: float | int | None) -> Path:
    """Train a shipped model on a data set's `train`, and return the checkpoint.

    The arguments are those of `timed_config`; `limit` holds its keywords `minutes` or `steps`, and `seed`.

    Raises:
        ConfigError, CheckpointError: a file is missing.
        TrainingStopped: a signal came.
    """
    config = timed_config(data, scenes, run, start, **limit)
    launch.set_start(config, None)
    try:
        launch.build_runner(config).train()
    except TrainingStopped as stop:
        raise TrainingStopped("stopped: nothing was written", stop.exit_code - 128) from None
    return newest_checkpoint(run)


def timed_config(
    data: Path,
    scenes: Path,
    run: Path,
    start: ShippedModel,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> Config:
    """The config of a training that starts from a shipped model.

    Args:
        data: a converted data set; its `train` is trained on.
        scenes: rendered scenes, a data set as the renderer writes it; their `train` is mixed in.
        run: folder of the run.
        start: the shipped model; its config gives the network and how it looks at images.
        minutes: length of the training; None: `steps`.
        steps: number of steps of the training; None: `minutes`.
        seed: seed of the training.

    Raises:
        ConfigError: a file is missing, or there is no particle to train on.
    """
    for file in (start.config, CONFIG):
        if not file.is_file():
            raise ConfigError(f"{file} does not exist; install the package anew, or work in its repository")
    config = Config.fromfile(CONFIG)
    config.model = Config.fromfile(start.config).model
    config.load_from, config.work_dir, config.launcher = str(start.checkpoint), str(run), "none"
    usual = config.train_dataloader.dataset.dataset
    mixed = _mixed(_of_folder(usual, data), _of_folder(usual, scenes))
    config.train_dataloader.dataset.dataset = {"type": "ConcatDataset", "datasets": mixed}
    limit = {"type": "TimedTrainingHook", "minutes": minutes, "steps": steps}
    config.custom_hooks = [*(hook for hook in config.custom_hooks if hook["type"] != "ProgressBarHook"), limit]
    config.default_hooks.checkpoint = config.default_hooks.logger = None  # the hook has a bar, and writes at the end
    config.param_scheduler, config.randomness = None, {"seed": seed}
    config.train_cfg = {"type": config.train_cfg.type, "max_epochs": MOST_EPOCHS, "val_begin": MOST_EPOCHS + 1}
    config.train_dataloader.sampler.num_batches = STEPS_PER_EPOCH
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    return config


def _mixed(own: dict, rendered: dict) -> list[dict]:
    """Both data sets, one of them repeated until the share of own images is about `OWN_SHARE`."""
    counts = [len(read_annotations(Path(each["data_root"]) / each["ann_file"])["images"]) for each in (own, rendered)]
    ratio = OWN_SHARE / (1 - OWN_SHARE) * counts[1] / counts[0]
    return [own] * max(1, round(ratio)) + [rendered] * max(1, round(1 / ratio))


def _of_folder(settings: dict, folder: Path) -> dict:
    """The settings of the data set in a folder, with enlargements that suit its particles."""
    annotations = read_annotations(folder / settings["ann_file"])["annotations"]
    sizes_px = [math.sqrt(each["area"]) for each in annotations if not each["iscrowd"]]
    if not sizes_px:
        raise ConfigError(f"{folder}: not one particle to train on; correct other images")
    steps = [
        {**step, "ratio_range": enlargements(sizes_px)} if step["type"] == "RandomScaledCrop" else step
        for step in settings["pipeline"]
    ]
    return {**settings, "data_root": f"{folder}/", "pipeline": steps}


def enlargements(sizes_px: Sequence[float]) -> tuple[float, float]:
    """Range of enlargements that brings particles, square roots of areas in px, to sizes that the network knows.

    >>> enlargements([60.0])
    (0.4, 2.0)
    """
    natural = COMFORTABLE_PX / float(np.median(sizes_px))
    low, high = (float(np.clip(part * natural, *ENLARGED)) for part in SIZES_SEEN)
    return low, high
