"""From a config file and the command line's wishes to a Runner."""

import argparse
import os
import sys
from pathlib import Path

import mmdet.datasets  # noqa: F401 - it prints when imported: here, where the programs keep imports quiet
import torch
from mmdet.registry import MODELS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.runner import Runner

from semsize.structures import AnnotationError
from tio2.engine.checkpoints import CheckpointError, find_checkpoint, resume_point
from tio2.engine.config import (
    FOLD_MARK,
    ConfigError,
    annotation_file,
    check_options,
    check_settings,
    data_sets,
    require_particles,
)
from tio2.engine.hooks import LossError
from tio2.engine.processes import ProcessError, join_processes, keep_freed_memory
from tio2.engine.resumption import TrainingStopped
from tio2.typed_settings import constructor_hints


def read_config(arguments: argparse.Namespace) -> Config:
    """Read `arguments.config` and apply --cfg-options, --launcher and --work-dir (default: work_dirs/<config>)."""
    if not Path(arguments.config).is_file():
        raise ConfigError(f"config {arguments.config} does not exist; see configs/tio2 for those that do")
    config = Config.fromfile(arguments.config)
    options = parse_options(arguments.cfg_options)
    check_options(config, options)
    config.merge_from_dict(options)
    config.launcher = arguments.launcher
    config.work_dir = str(run_folder(arguments.config, arguments.work_dir or config.get("work_dir")))
    check_settings(config)
    return config


def run_folder(config: str | Path, work_dir: str | None = None) -> Path:
    """The folder of a run: the one named, else work_dirs/<config>."""
    return Path(work_dir) if work_dir else Path("work_dirs") / Path(config).stem


def parse_options(options: list[str] | None) -> dict:
    """`a.b=1 c=[x,y]` as a dict, read as MMDetection's --cfg-options are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    return parser.parse_args(["--cfg-options", *options] if options else []).cfg_options


def enable_amp(config: Config) -> None:
    """Let the model compute in bfloat16, or in float16 on a GPU where bfloat16 is slow.

    Raises:
        ConfigError: There is no GPU, or the config says otherwise.
    """
    if not torch.cuda.is_available():
        raise ConfigError(
            "--amp needs a GPU, and none is here: run without it; a processor that has bfloat16 uses it anyway"
        )
    kind = MODELS.get(config.model.type)
    if kind is None or "precision" not in constructor_hints(kind):
        raise ConfigError(
            f"--amp: {config.model.type} has no precision to set; the project's detector is DenseMaskRCNN"
        )
    if config.model.get("precision") == "float32":
        raise ConfigError(f"--amp, but {config.filename} says model.precision=float32: leave out one of them")
    if config.model.get("precision", "auto") == "auto":
        config.model.precision = "mixed"


def enable_auto_scale_lr(config: Config) -> None:
    """Let the learning rate grow with the total batch, from the config's `auto_scale_lr.base_batch_size`."""
    if "base_batch_size" not in config.get("auto_scale_lr", {}):
        raise ConfigError(
            f"--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=…), which {config.filename} does not give"
        )
    config.auto_scale_lr.enable = True


def enable_deterministic(config: Config) -> None:
    """The same weights from the same seed: torch takes deterministic algorithms only, or says which it has not got."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses
    config.randomness = {"seed": 0, **config.get("randomness", {}), "deterministic": True}


def set_resume(config: Config, resume: str | None) -> None:
    """--resume: from the newest whole checkpoint of the run's folder ('auto'), or from the one named.

    A folder without any starts a new run and says so, so that a job that is sent again keeps one command.

    Raises:
        CheckpointError: There are checkpoints, and none is whole.
    """
    if resume is None:
        return
    checkpoint = resume_point(config.work_dir) if resume == "auto" else resume
    if checkpoint is None:
        print(f"no checkpoint in {config.work_dir} to resume from: training starts at the beginning", file=sys.stderr)
        return
    config.resume = True
    config.load_from = str(checkpoint)


def require_data(config: Config, stage: str) -> None:
    """Make sure that the annotation files of `stage` ('train', 'val' or 'test') are there, and a particle to train on.

    Those that each fold of a cross-validation has of its own are left to the fold's training.

    Raises:
        ConfigError: One is not, or there is none.
    """
    for dataset in data_sets(config[f"{stage}_dataloader"]):
        file = annotation_file(dataset)
        if not file.is_file() and FOLD_MARK not in str(file):
            raise ConfigError(f"{file} does not exist; docs/training.md names the command that makes it")
    if stage == "train":
        require_particles(config)


def require_start(config: Config) -> None:
    """Make sure that the weights a run starts from can be had, before the model is built.

    Raises:
        CheckpointError: The file is missing, or its download failed.
    """
    if config.load_from:
        find_checkpoint(config.load_from)


def build_runner(config: Config) -> Runner:
    """Build the Runner; several processes are joined first. On a CPU the process keeps the memory that it frees."""
    if get_device() == "cpu":
        keep_freed_memory()
    setup_cache_size_limit_of_dynamo()
    if config.launcher != "none":
        join_processes(config)
    return Runner.from_cfg(config)


def train(config: Config) -> None:
    """Train to the end.

    Raises:
        TrainingStopped: A signal asked to stop; the state is saved.
    """
    build_runner(config).train()


PEOPLE_ERRORS = (AnnotationError, CheckpointError, ConfigError, ProcessError, LossError, TrainingStopped)
