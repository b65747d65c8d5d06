"""A training with a time limit: its learning rate over time, its end, and its samples."""

import doctest
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.runner import Runner
from toy_runs import toy_config

import tio2.engine.timed_training
from semsize.detecting.joining import COMFORTABLE_PX
from semsize.detecting.models import SHIPPED
from tio2.engine import ConfigError, newest_checkpoint
from tio2.engine.config import data_sets
from tio2.engine.timed_training import ENLARGED, OWN_SHARE, TimedTrainingHook, enlargements, rate_factor, timed_config


def test_examples_run():
    assert doctest.testmod(tio2.engine.timed_training).failed == 0


@given(st.floats(0, 1.5))
def test_the_rate_rises_and_falls_to_zero(share):
    assert 0 <= rate_factor(share) <= 1
    later = [rate_factor(step) for step in np.linspace(0.05, 1, 30)]
    assert later == sorted(later, reverse=True)
    assert rate_factor(1.2) == pytest.approx(0)


@given(st.lists(st.floats(1, 2000), min_size=1))
def test_the_median_particle_is_shown_in_sizes_that_the_network_knows(sizes):
    low, high = enlargements(sizes)
    assert ENLARGED[0] <= low <= high <= ENLARGED[1]
    if 15 <= np.median(sizes) <= 120:
        assert low * np.median(sizes) <= COMFORTABLE_PX <= high * np.median(sizes) * 1.01


@pytest.mark.parametrize("arguments", [{}, {"minutes": 1.0, "steps": 1}, {"minutes": 0.0}, {"steps": -1}])
def test_a_training_has_one_limit(arguments):
    with pytest.raises(ValueError, match="either minutes or steps"):
        TimedTrainingHook(**arguments)


def run_with(tmp_path, **limit):
    """A run of the toy model, of epochs of four steps, that a limit ends."""
    hooks = [{"type": "StepSeedHook"}, {"type": "TimedTrainingHook", **limit}]
    changes = {"custom_hooks": hooks, "param_scheduler": None, "train_cfg.max_epochs": 1000}
    changes["default_hooks.checkpoint"] = None
    runner = Runner.from_cfg(toy_config(tmp_path, **changes))
    runner.train()
    return runner


def test_steps_end_a_training_at_the_end_of_their_epoch(tmp_path):
    runner = run_with(tmp_path, steps=7)
    assert runner.iter == 8
    assert newest_checkpoint(tmp_path).name == "epoch_2.pth"
    assert runner.optim_wrapper.param_groups[0]["lr"] == pytest.approx(0.1 * rate_factor(1))


def test_minutes_end_a_training(tmp_path, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(tio2.engine.timed_training, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    runner = run_with(tmp_path, minutes=0.5)  # the clock is read five times an epoch
    assert runner.iter == 24


def test_own_images_are_two_of_three_samples_and_are_enlarged_as_they_want(rendered_set, tmp_path):
    config = timed_config(rendered_set, rendered_set, tmp_path / "run", SHIPPED["free"], steps=4)
    sets = list(data_sets(config.train_dataloader))
    assert [each.data_root for each in sets].count(f"{rendered_set}/") == len(sets)
    own = sets.count(sets[0]) if OWN_SHARE < 1 else 0
    assert own >= 2
    (window,) = (step for step in sets[0].pipeline if step.type == "RandomScaledCrop")
    assert 0.4 < window.ratio_range[0] < 2
    assert Path(config.load_from).name == "light_free.pth"
    assert config.model.test_cfg.scales == "auto"


def test_a_set_without_a_particle_is_named(tmp_path, rendered_set):
    from semsize.structures import dataset, image_entry, write_annotations

    image = image_entry(id=1, file_name="1.png", height=40, width=60)
    write_annotations(tmp_path / "set" / "annotations" / "train.json", dataset([image], []))
    with pytest.raises(ConfigError, match="not one particle to train on"):
        timed_config(tmp_path / "set", rendered_set, tmp_path / "run", SHIPPED["free"], steps=4)
