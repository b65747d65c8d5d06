"""Fit the thresholds of the visible fraction to states that people gave, while a visibility model trains."""

import logging

import torch
from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from semsize.structures.states import VISIBILITY_CLASSES
from semsize.visibility.states import fit_thresholds
from tio2.engine.config import ConfigError


@HOOKS.register_module()
class StateThresholdsHook(Hook):
    """Fits thresholds of the visible fraction to states that people gave, before a training and after each epoch.

    The model predicts the visible fraction of each particle; the fitted thresholds make the given states most likely
    (`semsize.visibility.states.fit_thresholds`). The model keeps them in `thresholds`, and so do its checkpoints, from
    which a resumed run takes them.

    Args:
        dataloader: Settings of a loader, with a test's pipeline, of images whose annotations have states.
    """

    priority = "ABOVE_NORMAL"  # before the checkpoint is written

    def __init__(self, dataloader: dict):
        self.settings = dataloader
        self._loader = None

    def before_train(self, runner: Runner) -> None:
        """Fit the thresholds before the first step of the training."""
        if runner.iter == 0:
            self._fit(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Fit again, as the model has changed."""
        self._fit(runner)

    def _fit(self, runner: Runner) -> None:
        if self._loader is None:
            self._loader = runner.build_dataloader(self.settings, seed=runner.seed)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        fractions, classes = [], []
        for batch in self._loader:
            with torch.no_grad():
                samples = model.test_step(batch)
            for sample in samples:
                given = sample.gt_instances.visibility_class
                known = (given >= 0) & (sample.gt_instances.fraction_bin < 0)  # by people, not from a known fraction
                fractions.append(sample.pred_instances.fractions[known].double().cpu())
                classes += [VISIBILITY_CLASSES[number] for number in given[known].tolist()]
        model.train()
        if missing := set(VISIBILITY_CLASSES) - set(classes):
            raise ConfigError(
                f"StateThresholdsHook: no outline of {self.settings['dataset']['ann_file']} has a state of the class "
                f"{', '.join(sorted(missing))}; give annotations with states, or leave the hook out"
            )
        fitted = fit_thresholds(torch.cat(fractions).numpy(), classes)
        model.set_thresholds(fitted)
        _say(fitted)


@master_only
def _say(fitted) -> None:
    found = fitted.thresholds
    print_log(
        f"states given by people: complete from {found.complete:g} visible, masked from {found.masked:g}, "
        f"{100 * fitted.lapse_rate:.0f} % at random; {100 * fitted.agreement:.0f} % of {fitted.particles:,} agree",
        "current",
        logging.INFO,
    )
