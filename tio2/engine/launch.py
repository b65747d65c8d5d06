"""Build the Runner that trains or tests from a config and the command line, check its data, and print what begins."""

import argparse
import logging
import os
import sys
from pathlib import Path

import mmdet.datasets  # noqa: F401 - it prints when imported, and programs import this module quietly
import torch
from mmdet.registry import MODELS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch.utils.data import DataLoader
from tqdm.contrib import DummyTqdmFile

from semsize.detecting.archive import ArchiveError
from semsize.structures import AnnotationError, PredictionError
from semsize.structures.files import read_json
from tio2.cli import quiet_imports
from tio2.engine.checkpoints import CheckpointError, find_checkpoint, resume_point
from tio2.engine.config import (
    FOLD_MARK,
    ConfigError,
    annotation_file,
    check_options,
    check_settings,
    count_particles,
    data_sets,
    initial_weights,
    read_config_file,
)
from tio2.engine.hooks import LossError, precision_name
from tio2.engine.processes import ProcessError, join_processes, keep_freed_memory
from tio2.engine.resumption import TrainingStopped
from tio2.typed_settings import constructor_hints

ONE_LINE_ERRORS = (
    *(AnnotationError, ArchiveError, CheckpointError, ConfigError, LossError, PredictionError, ProcessError),
    TrainingStopped,
)
"""Errors that programs print as one line."""

LOG_FILE_ONLY = (
    *("System environment:", "Config:", "Hooks will be executed", "Distributed training is not used", "Exp name:"),
    *('"FileClient" will be deprecated', '"HardDiskBackend" is the alias'),
)
"""First words of MMEngine's messages that the console leaves out: dumps, and warnings that MMEngine itself causes."""


def read_config(arguments: argparse.Namespace) -> Config:
    """Read `arguments.config` and apply --cfg-options, --launcher and --work-dir (default: work_dirs/<config>)."""
    config = read_config_file(arguments.config)
    options = parse_options(arguments.cfg_options)
    check_options(config, options)
    config.merge_from_dict(options)
    config.launcher = arguments.launcher
    folder = arguments.work_dir or config.get("work_dir") or Path("work_dirs") / Path(arguments.config).stem
    config.work_dir = str(Path(folder))
    check_settings(config)
    return config


def run_config(folder: str | Path, split: str) -> Path | None:
    """Return the config that a split was tested with, from the split's folder or else the run's; None if none is there.

    Raises:
        ConfigError: There are several, and `metrics.json` names none of them.
    """
    tested = Path(folder) / split
    return recorded_config([tested, Path(folder)], tested / "metrics.json")


def trained_config(folder: str | Path, split: str) -> Path | None:
    """Return the config of a run's training, or of a cross-validation's (in the split's folder); None if none is there.

    Raises:
        ConfigError: There are several, and `run.json` names none of them.
    """
    place = next((each for each in (Path(folder) / split, Path(folder)) if (each / "run.json").is_file()), Path(folder))
    return recorded_config([place], place / "run.json")


def recorded_config(folders: list[Path], record: Path) -> Path | None:
    """Return the config in `folders` that a record (`run.json`, `metrics.json`) names, or the only one; None if none.

    Raises:
        ConfigError: There are several, and the record names none of them.
    """
    files = [file for folder in folders for file in sorted(folder.glob("*.py"))]
    name = Path(read_json(record, ConfigError).get("config", "")).name if record.is_file() else None
    if chosen := [file for file in files if file.name == name]:
        return chosen[0]
    if len(names := {file.name for file in files}) > 1:
        raise ConfigError(
            f"{folders[-1]}: holds {' and '.join(sorted(names))}, and {record} names none of them; keep the run's own"
        )
    return files[0] if files else None


def parse_options(options: list[str] | None) -> dict:
    """Parse options such as `a.b=1 c=[x,y]` into a dict, as MMDetection parses --cfg-options.

    Raises:
        ConfigError: An option has no `=`.
    """
    for option in options or ():
        if "=" not in option:
            raise ConfigError(f"--cfg-options {option}: give KEY=VALUE, for example train_cfg.max_epochs=2")
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    return parser.parse_args(["--cfg-options", *options] if options else []).cfg_options


def enable_amp(config: Config) -> None:
    """Let the model compute in bfloat16, or in float16 on a GPU where bfloat16 is slow.

    Raises:
        ConfigError: There is no GPU, the model has no precision to set, or the config sets float32.
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
    """Multiply the learning rate by the total batch size over the config's `auto_scale_lr.base_batch_size`."""
    if "base_batch_size" not in config.get("auto_scale_lr", {}):
        raise ConfigError(
            f"--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=…), which {config.filename} does not give"
        )
    config.auto_scale_lr.enable = True


def enable_deterministic(config: Config) -> None:
    """Use torch's deterministic algorithms only, so that the same seed gives the same weights."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses deterministic mode without it
    config.randomness = {"seed": 0, **config.get("randomness", {}), "deterministic": True}


def set_start(config: Config, resume: str | None) -> None:
    """Choose the checkpoint that a run starts from, and make sure that it is there, before the model is built.

    Args:
        config: Changed in place.
        resume: Value of --resume: `auto` for the newest whole checkpoint of the run's folder, or a checkpoint. If the
            folder has none, a new run starts and says so, so that a job can be sent again with the same command.

    Raises:
        CheckpointError: The file is missing, its download failed, or none of the folder's checkpoints is whole.
    """
    checkpoint = resume_point(config.work_dir) if resume == "auto" else resume
    if checkpoint is not None:
        config.resume, config.load_from = True, str(checkpoint)
    elif resume is not None:
        print(f"no checkpoint in {config.work_dir} to resume from: training starts at the beginning", file=sys.stderr)
    if config.load_from:
        find_checkpoint(config.load_from)


def require_data(config: Config, stage: str) -> list[str]:
    """Make sure that the files of `stage` ('train', 'val' or 'test') are there, and a particle to train on.

    A fold's own annotation file (`FOLD_MARK` in its path) may be missing: the fold's training looks for it.

    Returns:
        A line for each annotation file with its numbers of images and particles.

    Raises:
        ConfigError: An annotation or predictions file is missing, or there is no particle to train on.
    """
    files = [annotation_file(dataset) for dataset in data_sets(config[f"{stage}_dataloader"])]
    for file in files:
        if not file.is_file() and FOLD_MARK not in str(file):
            raise ConfigError(f"{file} does not exist; docs/training.md names the command that makes it")
    for dataset in data_sets(config[f"{stage}_dataloader"]):
        predictions = dataset.get("predictions")
        if predictions and not Path(predictions).is_file() and FOLD_MARK not in predictions:
            raise ConfigError(
                f"{predictions} does not exist; tools/test.py of the detector writes it (docs/training.md)"
            )
    counts = {file: count_particles(file) for file in files if file.is_file()}
    if stage == "train" and counts and all(count is not None and count[1] == 0 for count in counts.values()):
        names = ", ".join(map(str, counts))
        raise ConfigError(f"{names}: not one particle to train on, regions to ignore apart; convert the set again")
    return [f"{file}: {count[0]:,} images, {count[1]:,} particles" for file, count in counts.items() if count]


class QuietRunner(Runner):
    """MMEngine's Runner with all messages in the log file, and on the console all but `LOG_FILE_ONLY`."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **options) -> MMLogger:
        """Build the logger; a progress bar stays below the console's lines."""
        logger = super().build_logger(log_level, log_file, **options)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_for_console)
                handler.setStream(DummyTqdmFile(handler.stream))
        return logger

    @staticmethod
    def build_dataloader(dataloader: dict, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader:
        """Build a data loader, without the lines that pycocotools prints."""
        with quiet_imports():
            return Runner.build_dataloader(dataloader, seed, diff_rank_seed)


class TestRunner(QuietRunner):
    """Runner of a test: the run's folder keeps the training's config, and the test's own goes beside its results."""

    def dump_config(self) -> None:
        """Write no config to the run's folder."""


def _is_for_console(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip("-\n").startswith(LOG_FILE_ONLY)


def build_runner(config: Config, kind: type[QuietRunner] = QuietRunner) -> Runner:
    """Build a runner of the given kind, after joining the launcher's processes.

    On a CPU the process keeps the memory that it frees (`keep_freed_memory`).
    """
    if get_device() == "cpu":
        keep_freed_memory()
    setup_cache_size_limit_of_dynamo()
    if config.launcher != "none":
        join_processes(config)
    return kind.from_cfg(config)


def say_what_begins(act: str, config: Config, data: list[str], runner: Runner | None = None) -> None:
    """Print on the first process what is about to begin, with which data, weights, steps and folder.

    Args:
        act: What begins, such as "training".
        config: The config of the run.
        data: Lines on the data sets, from `require_data`.
        runner: The runner, for programs that train or test in this process.
    """
    if not is_main_process():
        return
    initial = initial_weights(config)
    lines = [("data", line) for line in data]
    lines.append(("resumes" if config.resume else "weights", config.load_from or initial.replace("none", "random")))
    if act != "testing":
        loader, epochs = config.train_dataloader, config.train_cfg.max_epochs
        steps = loader.sampler.get("num_batches", "all")
        lines.append(("steps", f"{epochs} epochs of {steps} steps of {loader.batch_size} images"))
    if runner is not None:
        device = f"{next(runner.model.parameters()).device}, {precision_name(runner.model)}"
        lines.append(("device", device + (f", {get_world_size()} processes" if get_world_size() > 1 else "")))
        lines.append(("log", f"{runner.log_dir}/{runner.timestamp}.log"))
    lines.append(("folder", config.work_dir))
    print("\n".join([f"{act} {config.filename}", *(f"  {name:<8}{text}" for name, text in lines)]), flush=True)
