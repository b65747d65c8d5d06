"""Hooks of a run: what it was (run.json), how far it is (a bar on a terminal), how long an image takes."""

import importlib.metadata
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from tqdm import tqdm

import tio2
from semsize.structures.json_files import write_json
from semsize.structures.whole_files import file_sha256
from tio2.engine.checkpoints import find_checkpoint
from tio2.engine.heap import MIB, peak_resident_mib
from tio2.engine.precision import precision_name

PACKAGES = ("torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection", "numpy", "opencv-python")


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"tio2": tio2.__version__, "python": platform.python_version(), **found}


def peak_memory_mib() -> float:
    """Peak memory of this process: of the GPU where one is used, else resident, in MiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / MIB
    return peak_resident_mib()


def start_weights(load_from: str | None) -> dict | None:
    """Path and SHA-256 of the weights that a run starts from."""
    if load_from is None:
        return None
    return {"path": str(load_from), "sha256": file_sha256(find_checkpoint(load_from))}


def start_before(meta: dict, record: dict) -> dict | None:
    """What a run that was interrupted had started from; empty if nothing tells.

    Args:
        meta: Of the checkpoint that it goes on from; one written before checkpoints had `start_weights` does not tell.
        record: Contents of its `run.json`; empty where it was interrupted before there was one.
    """
    return meta.get("start_weights", record.get("start_weights", {}))


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Keeps `run.json` in the run's folder, renewed after every epoch; a resumed run adds to its time.

    Each checkpoint tells which weights its run began with, so that a run that goes on from it says the same.
    """

    priority = "LOWEST"

    def __init__(self):
        self._resumed: dict | None = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep what the checkpoint says of the run that goes on."""
        if runner._resume:
            self._resumed = checkpoint.get("meta", {})

    def before_train(self, runner) -> None:  # noqa: D102
        self._began = time.monotonic()
        self._path = Path(runner.work_dir) / "run.json"
        before = json.loads(self._path.read_text()) if self._resumed is not None and self._path.is_file() else {}
        self._seconds_before = before.get("seconds", 0.0)
        self._peak = 0.0
        self._start = start_weights(runner._load_from) if self._resumed is None else start_before(self._resumed, before)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:  # noqa: ARG002
        """Let the checkpoint tell what the run began with."""
        checkpoint["meta"]["start_weights"] = self._start

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Look at the peak of a GPU's memory after each step: each line of the log begins a new one."""
        self._peak = max(self._peak, peak_memory_mib())

    def after_train_epoch(self, runner) -> None:  # noqa: D102
        self._write(runner, runner.epoch + 1)  # the loop counts it after its hooks

    def after_train(self, runner) -> None:  # noqa: D102
        self._write(runner, runner.epoch)

    def _write(self, runner, epochs: int) -> None:
        if not is_main_process():
            return
        parameters = list(runner.model.parameters())
        write_json(
            self._path,
            {
                "config": runner.cfg.filename,
                "seed": runner.seed,
                "start_weights": self._start,
                "epochs": epochs,
                "max_epochs": runner.max_epochs,
                "steps": runner.iter,
                "processes": get_world_size(),
                "batch_size": runner.train_dataloader.batch_size,
                "seconds": self._seconds_before + time.monotonic() - self._began,
                "peak_memory_mib": self._peak,
                "parameters": sum(p.numel() for p in parameters),
                "parameters_trained": sum(p.numel() for p in parameters if p.requires_grad),
                "device": str(parameters[0].device),
                "precision": precision_name(runner.model),
                "steps_left_out": getattr(runner.optim_wrapper, "steps_left_out", 0),
                "versions": versions(),
            },
            indent=2,
        )


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A bar with rate, loss and time left, where stderr is a terminal; the log's lines say the same elsewhere."""

    priority = "LOWEST"

    def before_train(self, runner) -> None:  # noqa: D102
        self._bar = None
        if is_main_process() and sys.stderr.isatty():
            self._bar = tqdm(
                total=runner.max_iters, initial=runner.iter, desc="training", unit="step", dynamic_ncols=True
            )

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002, D102
        if self._bar is not None:
            self._bar.set_postfix(epoch=runner.epoch + 1, loss=f"{float(outputs['loss']):.3f}", refresh=False)
            self._bar.update()

    def after_train(self, runner) -> None:  # noqa: ARG002, D102
        if self._bar is not None:
            self._bar.close()


@HOOKS.register_module()
class SecondsPerImageHook(Hook):
    """Seconds an image of a test, loading included: median and mean, in `seconds_per_image` after the run."""

    def before_test(self, runner) -> None:  # noqa: ARG002, D102
        self._seconds = []
        self._last = time.monotonic()

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002, D102
        now = time.monotonic()
        self._seconds.append((now - self._last) / max(len(outputs), 1))
        self._last = now

    @property
    def seconds_per_image(self) -> dict[str, float]:
        """Median and mean seconds an image."""
        return {"median": statistics.median(self._seconds), "mean": statistics.fmean(self._seconds)}
