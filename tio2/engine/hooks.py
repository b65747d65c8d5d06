"""The optimizer wrapper for float16, and hooks that stop at a loss not finite, write run.json and show progress."""

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmdet.registry import HOOKS, OPTIM_WRAPPERS
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from semsize.measuring.record import versions
from semsize.structures.files import file_sha256, read_json, write_json
from tio2.engine.checkpoints import MIB, find_checkpoint
from tio2.engine.config import ConfigError
from tio2.engine.processes import ProcessError, on_any_process, peak_resident_mib, same_on_all_processes
from tio2.engine.resumption import sample_numbers

SMALLEST_LOSS_SCALE = 1.0
"""Loss scale in float16 below which a gradient that is not finite must have another cause than the scale."""

PACKAGES = ("torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection", "numpy", "opencv-python")


def precision_name(model: nn.Module) -> str:
    """Type that a model computes in: `float32`, `bfloat16` or `float16`; float32 if the model does not say."""
    return getattr(model.module if is_model_wrapper(model) else model, "precision_name", "float32")


@OPTIM_WRAPPERS.register_module()
class LossScalingOptimWrapper(OptimWrapper):
    """MMEngine's OptimWrapper that multiplies the loss by a scale while the model computes in float16.

    If a gradient is not finite, the step is left out and logged, and the scale is halved; it is doubled after 2000
    steps without such a gradient (torch's GradScaler). bfloat16 needs no scale, because it has the range of float32.
    The arguments are those of OptimWrapper; gradients are clipped after the scale is divided out.
    """

    def __init__(self, optimizer: Optimizer, accumulative_counts: int = 1, clip_grad: dict | None = None):
        super().__init__(optimizer, accumulative_counts, clip_grad)
        self.scaler = torch.amp.GradScaler(optimizer.param_groups[0]["params"][0].device.type)
        self.scales = False
        self.left_out = False
        self.steps_left_out = 0

    @property
    def scale(self) -> float:
        """The factor by which the loss is multiplied."""
        return self.scaler.get_scale() if self.scales else 1.0

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context of a step's forward and backward pass; it looks up the model's precision."""
        self.scales = precision_name(model) == "float16"
        with super().optim_context(model):
            yield

    def backward(self, loss: Tensor, **options) -> None:
        """Compute the gradients of the scaled loss."""
        self.left_out = False
        super().backward(self.scaler.scale(loss) if self.scales else loss, **options)

    def step(self, **options) -> None:
        """Take the step, or leave it out if a gradient is not finite."""
        if not self.scales:
            super().step(**options)
            return
        self.scaler.unscale_(self.optimizer)
        if self.clip_grad_kwargs:
            self._clip_grad()
        before = self.scale
        self.scaler.step(self.optimizer, **options)
        self.scaler.update()
        self.left_out = self.scale < before
        if self.left_out:
            self.steps_left_out += 1
            print_log(
                f"step left out: a gradient is not finite in float16 with the loss scale {before:g}; "
                f"the scale is now {self.scale:g} ({self.steps_left_out} steps left out so far)",
                "current",
                logging.WARNING,
            )

    def state_dict(self) -> dict:
        """The state of the optimizer and of the loss scale."""
        scaling = {"loss_scaler": self.scaler.state_dict(), "steps_left_out": self.steps_left_out}
        return super().state_dict() | (scaling if self.scales else {})

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore the optimizer's state, and the loss scale if the checkpoint has one."""
        if "loss_scaler" in state_dict:
            self.scaler.load_state_dict(state_dict.pop("loss_scaler"))
            self.steps_left_out = state_dict.pop("steps_left_out")
        super().load_state_dict(state_dict)


class LossError(RuntimeError):
    """A loss or gradient that is NaN or infinite; the message is one line that names the images."""


@HOOKS.register_module()
class LossGuardHook(Hook):
    """Stops all processes at a loss or gradient that is NaN or infinite, names the images and saves the batch.

    It acts before the epoch's checkpoint is written, so that no checkpoint holds such weights. In float16
    `LossScalingOptimWrapper` leaves out steps whose gradient is not finite; the hook stops the run only when the loss
    scale has fallen below `SMALLEST_LOSS_SCALE`.
    """

    def before_train(self, runner: Runner) -> None:
        """Make sure that precision and optimizer go together, and that all processes begin at the same step."""
        require_scaling(runner)
        if not same_on_all_processes(runner.iter, runner.model):
            raise ProcessError(
                f"process {get_rank()} would begin at step {runner.iter}, and another process at another step: "
                "the processes see different files in the run's folder; use a folder that they share"
            )

    def after_train_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Check the losses and, if gradients are clipped, their norm."""
        values = {name: torch.as_tensor(value).item() for name, value in outputs.items() if "loss" in name}
        norm = runner.message_hub.log_scalars.get("train/grad_norm")
        left_out = getattr(runner.optim_wrapper, "left_out", False)
        if left_out and runner.optim_wrapper.scale < SMALLEST_LOSS_SCALE:
            values["grad_norm"] = math.nan
        elif norm is not None and not left_out:
            values["grad_norm"] = float(norm.current())
        wrong = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
        if not on_any_process(bool(wrong), runner.model):
            return
        step = runner.iter + 1
        if not wrong:
            raise LossError(f"stopped at step {step}, since a loss or gradient of another process is not finite")
        path = Path(runner.work_dir) / f"bad_batch_step_{step}_process_{get_rank()}.pth"
        torch.save({"step": step, "values": values} | plain_batch(runner, data_batch), path)
        images = ", ".join(sample.img_path for sample in data_batch["data_samples"])
        raise LossError(
            f"{', '.join(wrong)} at step {step}, in the images {images}; the batch is saved as {path}, the last "
            "checkpoint is from before it: look at these images, or lower the learning rate, and go on with --resume"
        )


def require_scaling(runner: Runner) -> None:
    """Make sure that float16 is trained with a scaled loss, and that only the model sets the precision.

    Raises:
        ConfigError: The optimizer wrapper does not go with the model's precision.
    """
    kind, precision = type(runner.optim_wrapper).__name__, precision_name(runner.model)
    scaled = isinstance(runner.optim_wrapper, LossScalingOptimWrapper)
    if isinstance(runner.optim_wrapper, AmpOptimWrapper) or (precision == "float16" and not scaled):
        raise ConfigError(
            f"optim_wrapper.type={kind} does not go with the model, which computes in {precision}: set "
            "optim_wrapper.type=LossScalingOptimWrapper, and for mixed precision model.precision=mixed (--amp)"
        )


def plain_batch(runner: Runner, data_batch: dict) -> dict:
    """Batch as plain data that `load_checkpoint` opens: seed, inputs, and of each image path, boxes, labels and RLE."""
    return {
        "sample_numbers": sample_numbers(runner),
        "seed": runner.seed,
        "inputs": list(data_batch["inputs"]),
        "images": [
            {
                "img_path": sample.img_path,
                "img_id": sample.img_id,
                "boxes": torch.as_tensor(getattr(sample.gt_instances.bboxes, "tensor", sample.gt_instances.bboxes)),
                "labels": sample.gt_instances.labels,
                "masks": sample.gt_instances.masks.cropped.to_rles(),
            }
            for sample in data_batch["data_samples"]
        ],
    }


def peak_memory_mib() -> float:
    """Peak memory of this process in MiB: allocated on the GPU if there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / MIB
    return peak_resident_mib()


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Writes `run.json` into the run's folder after every epoch, and where a signal stops the run within one.

    A resumed run adds its seconds to those in the file and keeps the larger peak memory. Each checkpoint states the
    weights that its run started from, so that a resumed run records the same.
    """

    priority = "LOWEST"

    def __init__(self):
        self._resumed: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the `meta` of a checkpoint that the run resumes from."""
        if runner._resume:
            self._resumed = checkpoint.get("meta", {})

    def before_train(self, runner: Runner) -> None:
        """Start the clock, and find out which weights the run started from."""
        self._began = time.monotonic()
        self._path = Path(runner.work_dir) / "run.json"
        is_known = self._resumed is not None and self._path.is_file()
        before = read_json(self._path, ConfigError) if is_known else {}
        self._seconds_before = before.get("seconds", 0.0)
        self._peak_mib = before.get("peak_memory_mib", 0.0)
        if self._resumed is not None:  # checkpoints of older versions have no start_weights; {}: not known
            self._start = self._resumed.get("start_weights", before.get("start_weights", {}))
        elif runner._load_from is None:
            self._start = None
        else:
            sha256 = file_sha256(find_checkpoint(runner._load_from))
            self._start = {"path": str(runner._load_from), "sha256": sha256}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:  # noqa: ARG002
        """Add the weights that the run started from to the checkpoint's meta."""
        checkpoint["meta"]["start_weights"] = self._start

    def after_train_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Read the peak memory at each step, because LoggerHook resets torch's GPU peak with every line of the log."""
        self._peak_mib = max(self._peak_mib, peak_memory_mib())

    def after_train_epoch(self, runner: Runner) -> None:  # noqa: D102
        self._write(runner, runner.epoch + 1, runner.iter)  # the loop counts the epoch after this hook

    def after_train(self, runner: Runner) -> None:  # noqa: D102
        self._write(runner, runner.epoch, runner.iter)

    def after_stop(self, runner: Runner, steps: int) -> None:
        """Write the seconds up to a stop within an epoch, whose checkpoint holds `steps` steps."""
        self._write(runner, runner.epoch, steps)

    def _write(self, runner: Runner, epochs: int, steps: int) -> None:
        if not is_main_process():
            return
        parameters = list(runner.model.parameters())
        record = {
            "config": runner.cfg.filename,
            "seed": runner.seed,
            "start_weights": self._start,
            "epochs": epochs,
            "max_epochs": runner.max_epochs,
            "steps": steps,
            "processes": get_world_size(),
            "batch_size": runner.train_dataloader.batch_size,
            "seconds": self._seconds_before + time.monotonic() - self._began,
            "peak_memory_mib": self._peak_mib,
            "parameters": sum(p.numel() for p in parameters),
            "parameters_trained": sum(p.numel() for p in parameters if p.requires_grad),
            "device": str(parameters[0].device),
            "precision": precision_name(runner.model),
            "steps_left_out": getattr(runner.optim_wrapper, "steps_left_out", 0),
            "versions": versions(*PACKAGES),
        }
        write_json(self._path, record, indent=2)


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A bar with rate, loss and time left if stderr is a terminal; otherwise the log's lines say the same."""

    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:  # noqa: D102
        hidden = not (is_main_process() and sys.stderr.isatty())
        steps = {"total": runner.max_iters, "initial": runner.iter}
        self._bar = tqdm(**steps, desc="training", unit="step", dynamic_ncols=True, disable=hidden)

    def after_train_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002, D102
        self._bar.set_postfix(epoch=runner.epoch + 1, loss=f"{outputs['loss'].item():.3f}", refresh=False)
        self._bar.update()

    def after_train(self, runner: Runner) -> None:  # noqa: ARG002, D102
        self._bar.close()
