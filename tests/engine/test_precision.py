"""float16 trains with a scaled loss: small gradients survive, steps that overflow are skipped, counted and reported."""

import json
import logging
import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from toy_runs import ToyModel, toy_runner, weights_of

from tio2.engine import ConfigError, LossScalingOptimWrapper, load_checkpoint, precision_name
from tio2.engine.hooks import LossError

HALF = {"model.precision": "float16"}


class InfiniteGradient(Hook):
    """Makes the gradients of some steps infinite, and keeps the weights before and after each step."""

    def __init__(self, steps):
        self.steps, self.before, self.after = steps, [], []

    def before_train_iter(self, runner, **_):
        self.before.append(weights_of(runner))
        if runner.iter in self.steps:
            handle = runner.model.layer.weight.register_hook(lambda gradient: gradient * math.inf)
            self.remove = handle.remove

    def after_train_iter(self, runner, **_):
        self.after.append(weights_of(runner))
        if runner.iter in self.steps:
            self.remove()


def test_a_model_says_its_precision_and_one_that_does_not_computes_in_float32():
    assert precision_name(ToyModel(precision="bfloat16")) == "bfloat16"
    assert precision_name(torch.nn.Linear(1, 1)) == "float32"


@pytest.mark.parametrize(("wrapped", "moved"), [(OptimWrapper, 0.0), (LossScalingOptimWrapper, 1e-3)])
def test_gradients_below_what_float16_holds_reach_the_weights(wrapped, moved):
    """1e-9 is nothing in float16, whose smallest number is 6e-8; times 65536 it is."""
    model = ToyModel(precision="float16")
    before = model.layer.weight.detach().clone().fill_(0.5)
    model.layer.weight.data.copy_(before)
    wrapper = wrapped(torch.optim.SGD(model.parameters(), lr=1e6))
    with wrapper.optim_context(model), torch.autocast("cpu", torch.float16):
        outputs = model.layer(torch.ones(1, 3))
    wrapper.update_params(outputs.float().sum() * 1e-9)
    torch.testing.assert_close(before - model.layer.weight, torch.full((2, 3), moved), rtol=0.02, atol=0)


def test_a_step_that_overflows_is_left_out_said_and_counted(tmp_path, caplog):
    spoilt = InfiniteGradient({3, 5})
    runner = toy_runner(tmp_path, [spoilt], log_level="WARNING", **HALF)
    runner.logger.addHandler(caplog.handler)
    runner.train()
    stayed = [torch.equal(*pair) for pair in zip(spoilt.before, spoilt.after, strict=True)]
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    said = [text for text in said if "left out" in text]
    record = json.loads((tmp_path / "run.json").read_text())
    assert [step for step, same in enumerate(stayed) if same] == [3, 5] or sum(stayed) == len(said) > 2
    assert all(stayed[step] for step in (3, 5))
    assert len(said) == record["steps_left_out"] == runner.optim_wrapper.steps_left_out
    assert "the scale is now" in said[0]
    assert record["precision"] == "float16"
    assert torch.isfinite(weights_of(runner)).all()


def test_a_gradient_that_no_scale_helps_stops_the_run(tmp_path):
    spoilt = InfiniteGradient(range(99))
    runner = toy_runner(tmp_path, [spoilt], **HALF, **{"train_cfg.max_epochs": 6})
    with pytest.raises(LossError, match=r"grad_norm nan at step 17, in the images"):  # 65536 halved 17 times
        runner.train()
    assert torch.equal(spoilt.before[0], weights_of(runner))


def test_a_resumed_run_goes_on_with_its_scale(tmp_path):
    first = toy_runner(tmp_path, [InfiniteGradient({1, 2})], **HALF, **{"train_cfg.max_epochs": 1})
    first.train()
    saved = load_checkpoint(tmp_path / "epoch_1.pth")["optimizer"]
    assert saved["loss_scaler"]["scale"] == first.optim_wrapper.scale < 65536
    assert saved["steps_left_out"] >= 2
    there = {"resume": True, "load_from": str(tmp_path / "epoch_1.pth"), "train_cfg.max_epochs": 2}
    again = toy_runner(tmp_path, **HALF, **there)
    again.train()
    assert again.optim_wrapper.scale <= first.optim_wrapper.scale
    assert again.optim_wrapper.steps_left_out >= first.optim_wrapper.steps_left_out
    runner = toy_runner(tmp_path / "exact")
    exact = runner.build_optim_wrapper(runner.optim_wrapper)
    exact.load_state_dict(saved)  # float32 has no scale, and takes the same state
    assert exact.scale == 1.0


def test_float16_without_a_scaled_loss_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"optim_wrapper\.type=OptimWrapper .* in float16: set optim_wrapper\.type=Loss"
    ):
        toy_runner(tmp_path, **HALF, **{"optim_wrapper.type": "OptimWrapper"}).train()
