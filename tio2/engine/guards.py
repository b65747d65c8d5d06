"""What stops a run that has gone wrong, before it spoils a checkpoint."""

import math
from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner

from tio2.engine.distribution import DistributionError, on_any_process, same_on_all_processes
from tio2.engine.loop import sample_numbers
from tio2.engine.precision import LossScalingOptimWrapper, precision_name
from tio2.engine.settings import ConfigError

SMALLEST_SCALE = 1.0
"""Of the loss in float16; a gradient that is not finite below it is not finite in itself."""


class LossError(RuntimeError):
    """A loss or gradient that is no number; the message is one line that names the images."""


@HOOKS.register_module()
class LossGuardHook(Hook):
    """Stops all processes at a loss or gradient that is NaN or infinite, names the images and saves the batch.

    It acts before the epoch's checkpoint is written, so that no checkpoint holds such weights. In float16 a step whose
    gradient is not finite is left out and said (`LossScalingOptimWrapper`); the run stops once the scale of the loss
    is not to blame.
    """

    def before_train(self, runner: Runner) -> None:
        """Make sure that precision and optimizer go together, and that all processes begin at the same step."""
        require_scaling(runner)
        if not same_on_all_processes(runner.iter, _device(runner)):
            raise DistributionError(
                f"process {get_rank()} would begin at step {runner.iter}, another one elsewhere: "
                "the processes see different files in the run's folder"
            )

    def after_train_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Look at the losses and the gradient's norm, where one is taken (clip_grad)."""
        figures = {name: torch.as_tensor(value).item() for name, value in outputs.items() if "loss" in name}
        norm = runner.message_hub.log_scalars.get("train/grad_norm")
        left_out = getattr(runner.optim_wrapper, "left_out", False)
        if left_out and runner.optim_wrapper.scale < SMALLEST_SCALE:
            figures["grad_norm"] = math.nan
        elif norm is not None and not left_out:
            figures["grad_norm"] = float(norm.current())
        wrong = [f"{name} {value}" for name, value in figures.items() if not math.isfinite(value)]
        if not on_any_process(bool(wrong), _device(runner)):
            return
        step = runner.iter + 1
        if not wrong:
            raise LossError(f"stopped at step {step}, since the loss of another process is not a number")
        path = Path(runner.work_dir) / f"bad_batch_step_{step}_process_{get_rank()}.pth"
        torch.save({"step": step, "figures": figures} | plain_batch(runner, data_batch), path)
        images = ", ".join(sample.img_path for sample in data_batch["data_samples"])
        raise LossError(
            f"{', '.join(wrong)} at step {step}, in the images {images}; the batch is saved as {path}, the last "
            "checkpoint is from before it: look at these images, or lower the learning rate, and go on with --resume"
        )


def require_scaling(runner: Runner) -> None:
    """Make sure that float16 is trained with a scaled loss, and that nothing but the model sets a precision.

    Raises:
        ConfigError: It is not.
    """
    kind, precision = type(runner.optim_wrapper).__name__, precision_name(runner.model)
    scaled = isinstance(runner.optim_wrapper, LossScalingOptimWrapper)
    if isinstance(runner.optim_wrapper, AmpOptimWrapper) or (precision == "float16" and not scaled):
        raise ConfigError(
            f"optim_wrapper.type={kind} does not go with the model, which computes in {precision}: set "
            "optim_wrapper.type=LossScalingOptimWrapper, and for mixed precision model.precision=mixed (--amp)"
        )


def plain_batch(runner: Runner, data_batch: dict) -> dict:
    """A batch as plain data that `load_checkpoint` opens: inputs, and for each image path, boxes, labels and RLE."""
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


def _device(runner: Runner) -> torch.device:
    return next(runner.model.parameters()).device
