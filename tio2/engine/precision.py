"""Training in float16: losses are scaled, so that small gradients survive; steps that overflow are left out."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer


def precision_name(model: nn.Module) -> str:
    """What a model computes in where it is: `float32`, `bfloat16` or `float16`; one that does not say, in float32."""
    return getattr(model.module if is_model_wrapper(model) else model, "precision_name", "float32")


@OPTIM_WRAPPERS.register_module()
class LossScalingOptimWrapper(OptimWrapper):
    """OptimWrapper that multiplies the loss by a scale while the model computes in float16, and only then.

    A gradient that is not finite leaves its step out and halves the scale; 2000 steps without one double it (torch's
    GradScaler). Each such step is logged. Weights and their gradients are float32, so bfloat16 needs no scale.

    Args:
        optimizer: As for OptimWrapper.
        accumulative_counts: Batches of a step.
        clip_grad: As for OptimWrapper; gradients are clipped as they are without the scale.
    """

    def __init__(self, optimizer: Optimizer, accumulative_counts: int = 1, clip_grad: dict | None = None):
        super().__init__(optimizer, accumulative_counts, clip_grad)
        self.scaler = torch.amp.GradScaler(optimizer.param_groups[0]["params"][0].device.type)
        self.scales = False
        self.left_out = False
        self.steps_left_out = 0

    @property
    def scale(self) -> float:
        """What the loss is multiplied by."""
        return self.scaler.get_scale() if self.scales else 1.0

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """A step's forward and backward pass; the model is asked for its precision."""
        self.scales = precision_name(model) == "float16"
        with super().optim_context(model):
            yield

    def backward(self, loss: Tensor, **options) -> None:
        """Gradients of the scaled loss."""
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
                f"a step is left out, since a gradient is not finite in float16 with the loss times {before:g}; "
                f"from now on it is multiplied by {self.scale:g} ({self.steps_left_out} steps left out so far)",
                "current",
                logging.WARNING,
            )

    def state_dict(self) -> dict:
        """The optimizer's, and the scale."""
        scaling = {"loss_scaler": self.scaler.state_dict(), "steps_left_out": self.steps_left_out}
        return super().state_dict() | (scaling if self.scales else {})

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on with the scale that a checkpoint has, if it has one."""
        if "loss_scaler" in state_dict:
            self.scaler.load_state_dict(state_dict.pop("loss_scaler"))
            self.steps_left_out = state_dict.pop("steps_left_out")
        super().load_state_dict(state_dict)
