"""SIGTERM and SIGUSR1 save within the epoch; the resumed run continues as if it had not stopped."""

import os
import signal
import subprocess
import time

import pytest
import torch
from mmengine.hooks import Hook
from toy_runs import IMAGES, SignalAt, end_workers, toy_runner, validation, weights_of

from semsize.cli import one_line_errors
from tio2.engine import TrainingStopped, launch
from tio2.engine.checkpoints import resume_point


class SignalInValidation(Hook):
    def after_val_iter(self, runner, batch_idx, **_):
        if runner.epoch == 2 and batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    runner = toy_runner(tmp_path_factory.mktemp("whole"))
    runner.train()
    return weights_of(runner), runner.model.seen


@pytest.mark.parametrize(
    ("step", "number", "name", "workers"),
    [
        (1, signal.SIGUSR1, "epoch_0_step_1.pth", 0),
        (6, signal.SIGTERM, "epoch_1_step_6.pth", 2),
        (8, signal.SIGTERM, "epoch_1_step_8.pth", 0),  # an epoch's last step
        (12, signal.SIGUSR1, "epoch_2_step_12.pth", 0),  # the run's last
    ],
)
def test_stopped_and_resumed_is_uninterrupted(tmp_path, uninterrupted, step, number, name, workers):
    loading = {"train_dataloader.num_workers": workers, "train_dataloader.persistent_workers": workers > 0}
    stopped = toy_runner(tmp_path, [SignalAt(step, number)], **loading)
    handler = signal.getsignal(number)
    message = rf"stopped by {number.name} after step {step}; saved .*{name}.*--resume"
    with pytest.raises(TrainingStopped, match=message) as caught:
        stopped.train()
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) == handler
    assert resume_point(tmp_path).name == name
    resumed = toy_runner(tmp_path, load_from=str(resume_point(tmp_path)), resume=True, **loading)
    resumed.train()
    end_workers(stopped, resumed)
    assert stopped.model.seen + resumed.model.seen == uninterrupted[1]
    assert (resumed.epoch, resumed.iter) == (3, 12)
    assert torch.equal(weights_of(resumed), uninterrupted[0])
    assert sorted(path.name for path in tmp_path.glob("epoch_*")) == ["epoch_2.pth", "epoch_3.pth"]


def test_a_signal_in_validation_ends_it_with_the_epoch_saved(tmp_path, uninterrupted):
    with pytest.raises(TrainingStopped, match=r"after step 8; saved .*epoch_2\.pth"):
        toy_runner(tmp_path, [SignalInValidation()], **validation()).train()
    resumed = toy_runner(tmp_path, load_from=str(resume_point(tmp_path)), resume=True)
    resumed.train()
    assert torch.equal(weights_of(resumed), uninterrupted[0])
    assert IMAGES > 2, "it was ended before its last image"


class SignalToAll(Hook):
    """Sends SIGTERM to the loader's workers too, as a scheduler does to all processes of a job."""

    priority = "VERY_HIGH"

    def after_train_iter(self, runner, **_):
        if runner.iter + 1 == 3:
            self.workers = [worker.pid for worker in runner.train_dataloader._iterator._workers]
            subprocess.run(["kill", "-TERM", *map(str, [*self.workers, os.getpid()])], check=True)
            time.sleep(0.2)


def test_a_signal_to_the_whole_job_does_not_take_the_workers_from_the_step(tmp_path):
    to_all = SignalToAll()
    runner = toy_runner(
        tmp_path, [to_all], **{"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": True}
    )
    with pytest.raises(TrainingStopped, match="after step 3"):
        runner.train()
    assert len(to_all.workers) == 2
    alive = runner.train_dataloader._iterator._workers
    assert all(worker.is_alive() for worker in alive)
    for worker in alive:  # the parent's word counts
        worker.terminate()
        worker.join(timeout=5)
        assert not worker.is_alive()


def test_a_program_ends_with_the_signal_s_code_and_says_how_to_go_on(tmp_path, capsys):
    """Before, a stopped training left with code 0, and scripts went on to the next stage."""
    with pytest.raises(SystemExit) as ended, one_line_errors(*launch.ONE_LINE_ERRORS):
        toy_runner(tmp_path, [SignalAt(2, signal.SIGTERM)]).train()
    assert ended.value.code == 143
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("stopped by SIGTERM after step 2; saved ")
    assert said.endswith("go on with --resume")
