"""People's thresholds are fitted before the first step and after each epoch; a resumed run keeps its own."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from semsize.structures.states import VISIBILITY_CLASSES
from semsize.visibility.states import BINS
from tio2.engine import ConfigError, StateThresholdsHook


class Told(torch.nn.Module):
    """A model that knows each particle's fraction, which stands in the sample."""

    def __init__(self):
        super().__init__()
        self.fitted = []
        self.certainty = torch.nn.Parameter(torch.ones(()))

    def test_step(self, samples):
        assert not self.training
        for sample in samples:
            fractions = torch.nn.functional.one_hot(sample.bins, BINS).float() * self.certainty
            sample.pred_instances = InstanceData(fractions=fractions)
        return samples

    def set_thresholds(self, fitted):
        self.fitted.append(fitted)


def runner_with(bins, classes, iteration=0):
    truth = InstanceData(visibility_class=torch.tensor(classes), fraction_bin=torch.full((len(classes),), -1))
    sample = SimpleNamespace(bins=torch.tensor(bins), gt_instances=truth)
    return SimpleNamespace(model=Told(), iter=iteration, seed=0, build_dataloader=lambda *_, **__: [[sample]])


def hook():
    return StateThresholdsHook({"dataset": {"ann_file": "annotations/train.json"}})


def test_known_thresholds_are_found_and_kept_in_the_model():
    fractions = np.arange(BINS)
    classes = np.where(fractions >= 45, 0, np.where(fractions >= 20, 1, 2))
    runner = runner_with(fractions.tolist(), classes.tolist())
    fitting = hook()
    fitting.before_train(runner)
    fitting.after_train_epoch(runner)
    assert len(runner.model.fitted) == 2
    assert runner.model.training
    found = runner.model.fitted[0]
    assert found.thresholds.complete == pytest.approx(0.9, abs=0.02)
    assert found.thresholds.masked == pytest.approx(0.4, abs=0.02)
    assert found.particles == BINS


def test_a_resumed_run_keeps_what_its_checkpoint_has():
    runner = runner_with([0, 25, 49], [2, 1, 0], iteration=5)
    hook().before_train(runner)
    assert runner.model.fitted == []


def test_states_that_do_not_occur_are_named():
    with pytest.raises(ConfigError, match=r"annotations/train\.json has a state of the class unusable") as error:
        hook().before_train(runner_with([25, 49], [1, 0]))
    assert "\n" not in str(error.value)
    assert VISIBILITY_CLASSES == ("complete", "masked", "unusable")
