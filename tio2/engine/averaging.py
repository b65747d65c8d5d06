"""Weights averaged over the steps of a training: what its checkpoints then hold, and what is tested and shipped."""

from mmdet.registry import HOOKS
from mmengine.hooks import EMAHook
from mmengine.runner import Runner


@HOOKS.register_module()
class AveragedWeightsHook(EMAHook):
    """Keeps an exponential moving average of the weights: E = X after the first step, then (1 - m) E + m X after each.

    A checkpoint's `state_dict` is the average: test.py, publish.py, and a training that starts from it, take that. Its
    `ema_state_dict` holds the weights that train; only a resumed run takes both, each as what it is.

    Validation runs on the average, too, and a checkpoint that is saved meanwhile, when a signal stops the run, is like
    any other; mmengine's hook would save the two the wrong way round.

    Args:
        momentum: m, the share of a step's weights, 0 to 1; the average reaches back some 1/m steps.
    """

    def __init__(self, momentum: float):
        super().__init__("ExponentialMovingAverage", strict_load=True, momentum=momentum)
        self._model_is_averaged = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the average of a run that is resumed; another start has none before its first step."""
        if runner._resume:
            super().after_load_checkpoint(runner, checkpoint)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the average in `state_dict` and the weights that train in `ema_state_dict`."""
        if self._model_is_averaged:  # in a validation
            checkpoint["ema_state_dict"] = self.ema_model.state_dict()
        else:
            super().before_save_checkpoint(runner, checkpoint)

    def _swap_ema_parameters(self) -> None:
        if self.ema_model.steps > 0:  # else nothing was trained: weights that were loaded are tested
            super()._swap_ema_parameters()
            self._model_is_averaged = not self._model_is_averaged
