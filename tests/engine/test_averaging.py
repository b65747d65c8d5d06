"""The average is the recurrence's closed form; what is saved, tested, shipped and resumed is each the right weights."""

import collections
import os
import shutil
import signal

import pytest
import torch
from mmengine.hooks import Hook
from toy_runs import toy_runner, validation, weights_of

from tio2.engine import CheckpointError, TrainingStopped, load_checkpoint
from tio2.engine.checkpoints import publish_checkpoint, resume_point

MOMENTUM = 0.3
AVERAGING = [{"type": "AveragedWeightsHook", "momentum": MOMENTUM}]


class Recorder(Hook):
    """The weights after each step, and those that each validation or test looks with."""

    priority = "LOWEST"

    def __init__(self, stop_in_validation=None):
        self.steps, self.looked, self.stop = [], [], stop_in_validation

    def after_train_iter(self, runner, **_):
        self.steps.append(weights_of(runner))

    def after_val_iter(self, runner, batch_idx, **_):
        self.looked.append(weights_of(runner))
        if (runner.epoch, batch_idx) == (self.stop, 1):
            os.kill(os.getpid(), signal.SIGTERM)

    def after_test_iter(self, runner, **_):
        self.looked.append(weights_of(runner))


def averaging_runner(folder, hooks=(), **changes):
    """The toy's run with averages, and hooks that come after."""
    runner = toy_runner(folder, **changes)
    runner.register_custom_hooks(AVERAGING)
    runner.register_custom_hooks(list(hooks))
    return runner


def average(steps):
    """E after the last of some steps: (1 - m)^(n-1) X_1 + sum of m (1 - m)^(n-t) X_t."""
    late = [MOMENTUM * (1 - MOMENTUM) ** age * x for age, x in enumerate(reversed(steps[1:]))]
    return (1 - MOMENTUM) ** (len(steps) - 1) * steps[0] + sum(late, torch.zeros_like(steps[0]))


def saved(path):
    """Average and training weights of a checkpoint."""
    checkpoint = load_checkpoint(path)
    return checkpoint["state_dict"]["layer.weight"], checkpoint["ema_state_dict"]["module.layer.weight"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of an uninterrupted run, all checkpoints kept, and the weights after each of its twelve steps."""
    folder, recorder = tmp_path_factory.mktemp("averaged"), Recorder()
    averaging_runner(folder, [recorder], **{"default_hooks.checkpoint.max_keep_ckpts": -1}).train()
    return folder, recorder.steps


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_checkpoint_holds_the_closed_form_of_the_recurrence(finished, epoch):
    folder, steps = finished
    averaged, training = saved(folder / f"epoch_{epoch}.pth")
    torch.testing.assert_close(averaged, average(steps[: 4 * epoch]))
    assert torch.equal(training, steps[4 * epoch - 1])


def test_averaging_does_not_change_what_is_trained(finished, tmp_path):
    plain = Recorder()
    toy_runner(tmp_path, [plain]).train()
    assert all(map(torch.equal, plain.steps, finished[1]))


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_resumed_run_is_the_uninterrupted_one(finished, tmp_path, epoch):
    folder, steps = finished
    recorder = Recorder()
    start = str(folder / f"epoch_{epoch}.pth")
    averaging_runner(tmp_path, [recorder], load_from=start, resume=True).train()
    assert all(map(torch.equal, recorder.steps, steps[4 * epoch :]))
    for ours, theirs in zip(saved(tmp_path / "epoch_3.pth"), saved(folder / "epoch_3.pth"), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_stopped_in_its_validation_saves_and_resumes_as_any_other(finished, tmp_path):
    folder, steps = finished
    recorder = Recorder(stop_in_validation=2)
    with pytest.raises(TrainingStopped, match=r"saved .*epoch_2\.pth"):
        averaging_runner(tmp_path, [recorder], **validation()).train()
    torch.testing.assert_close(recorder.looked[-1], average(steps[:8]), msg="validated is the average")
    for ours, theirs in zip(saved(tmp_path / "epoch_2.pth"), saved(folder / "epoch_2.pth"), strict=True):
        assert torch.equal(ours, theirs)
    averaging_runner(tmp_path, load_from=str(resume_point(tmp_path)), resume=True).train()
    assert torch.equal(saved(tmp_path / "epoch_3.pth")[0], saved(folder / "epoch_3.pth")[0])


def test_validation_looks_with_the_average_and_training_goes_on_without_it(finished, tmp_path):
    recorder = Recorder()
    averaging_runner(tmp_path, [recorder], **validation()).train()
    assert all(map(torch.equal, recorder.steps, finished[1]))
    for number, looked in enumerate(recorder.looked):
        torch.testing.assert_close(looked, average(finished[1][: 4 * (1 + number // 5)]))


@pytest.mark.parametrize("hooks", [AVERAGING, []], ids=["averaging", "plain"])
def test_what_is_tested_is_the_average_whatever_the_config(finished, tmp_path, hooks):
    recorder = Recorder()
    runner = toy_runner(tmp_path, load_from=str(finished[0] / "epoch_3.pth"), **validation("test"))
    runner.register_custom_hooks([*hooks, recorder])
    runner.test()
    assert len(recorder.looked) == 5
    assert all(torch.equal(looked, saved(finished[0] / "epoch_3.pth")[0]) for looked in recorder.looked)


def test_what_is_published_is_the_average_and_a_training_starts_from_it(finished, tmp_path):
    folder, _ = finished
    publish_checkpoint(folder / "epoch_3.pth", tmp_path / "light.pth")
    shipped = load_checkpoint(tmp_path / "light.pth")
    averaged, _ = saved(folder / "epoch_3.pth")
    assert (set(shipped), set(shipped["state_dict"])) == ({"state_dict", "meta"}, {"layer.weight"})
    assert torch.equal(shipped["state_dict"]["layer.weight"], averaged.half())
    for start, weights in (("epoch_3.pth", averaged), (tmp_path / "light.pth", averaged.half().float())):
        recorder = Recorder()
        still = {"optim_wrapper.optimizer.lr": 0.0, "load_from": str(folder / start)}
        averaging_runner(tmp_path, [recorder], **still).train()
        assert torch.equal(recorder.steps[0], weights)
        assert torch.equal(saved(tmp_path / "epoch_3.pth")[0], weights)


def test_a_run_is_not_resumed_with_averages_from_one_without_nor_the_other_way(finished, tmp_path):
    with pytest.raises(CheckpointError, match=r"epoch_3\.pth was taken with averaged weights, unlike this config"):
        toy_runner(tmp_path, load_from=str(finished[0] / "epoch_3.pth"), resume=True).train()
    toy_runner(tmp_path / "plain").train()
    with pytest.raises(CheckpointError, match=r"epoch_3\.pth was taken without averaged weights"):
        averaging_runner(tmp_path, load_from=str(tmp_path / "plain" / "epoch_3.pth"), resume=True).train()


def test_the_average_needs_room_on_the_disk(tmp_path, monkeypatch):
    usage = collections.namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 29, 71))
    with pytest.raises(CheckpointError, match="MiB free, and a checkpoint takes about"):
        averaging_runner(tmp_path).train()  # 6 weights twice and 6 momenta of 4 bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 28, 72))
    averaging_runner(tmp_path).train()
