"""Training by two processes, killed in a step, killed in a write and told to stop, ends like an undisturbed one."""

import json
import os
import random
import signal

import pytest
import torch
from processes import (
    CONFIG,
    SMALL,
    ForkedProgram,
    data_options,
    finish,
    finish_ranks,
    largest_difference,
    loading,
    log_of,
    start_ranks,
    steps_done,
    wait_until,
    weights,
)

from tio2.engine.checkpoints import checkpoints_of

STEPS = 4


@pytest.fixture(scope="module")
def data(rendered_set):
    return [*SMALL, *data_options(rendered_set)]


def test_killed_and_stopped_training_ends_as_if_left_alone(data, tmp_path):
    options = ["--cfg-options", *data, *loading(1), "train_cfg.max_epochs=3",
               f"train_dataloader.sampler.num_batches={STEPS}"]  # fmt: skip

    def words(folder):
        return ["tools/train.py", CONFIG, "--work-dir", tmp_path / folder, "--resume", *options]

    run, log = tmp_path / "broken", tmp_path / "log"
    first, second = start_ranks(words("broken"), log)
    random_step = STEPS + random.randrange(1, STEPS)  # with the first the checkpoint of the epoch before is there
    wait_until(first, log_of(log, 0), lambda: steps_done(log_of(log, 0)) >= random_step)
    second.kill()
    os.kill(first.pid, signal.SIGTERM)  # as torchrun does with those that are left
    assert "training starts at the beginning" in finish(first, log_of(log, 0), ok=False)
    finish(second, log_of(log, 1), ok=False)

    for path in checkpoints_of(run):  # the first epoch is there; the second is killed in its write
        if path.name != "epoch_1.pth":
            path.unlink()
    log = tmp_path / "killed in a write"
    first, second = start_ranks(words("broken"), log)
    wait_until(first, log_of(log, 0), lambda: any(run.glob(".epoch_2.pth.*")))
    os.kill(first.pid, signal.SIGKILL)
    assert "resumed epoch: 1, iter: 4" in finish(first, log_of(log, 0), ok=False)
    finish(second, log_of(log, 1), ok=False)
    if not (run / "epoch_2.pth").exists():  # else the write had just ended
        assert any(run.glob(".epoch_2.pth.*"))

    log = tmp_path / "stopped"
    first, second = start_ranks(words("broken"), log)
    wait_until(first, log_of(log, 0), lambda: steps_done(log_of(log, 0)) > 2 * STEPS)
    os.kill(second.pid, signal.SIGTERM)
    assert "stopped by a signal to another process after step" in finish(first, log_of(log, 0), ok=False)
    assert "stopped by SIGTERM after step" in finish(second, log_of(log, 1), ok=False)
    assert any("_step_" in path.name for path in checkpoints_of(run))

    for folder in ("broken", "whole"):
        finish_ranks(words(folder), tmp_path / f"{folder}.log")
    record = json.loads((run / "run.json").read_text())
    assert (record["epochs"], record["steps"]) == (3, 3 * STEPS)
    assert sorted(path.name for path in checkpoints_of(run)) == ["epoch_2.pth", "epoch_3.pth"]
    assert largest_difference(weights(run / "epoch_3.pth"), weights(tmp_path / "whole" / "epoch_3.pth")) == 0


def test_deterministic_runs_have_the_same_weights_whatever_the_number_of_workers(data, tmp_path):
    options = ["--deterministic", "--cfg-options", *data, "train_cfg.max_epochs=1",
               "train_dataloader.sampler.num_batches=4"]  # fmt: skip
    programs = [
        ForkedProgram(["tools/train.py", CONFIG, "--work-dir", tmp_path / name, *options, *loading(workers)],
                      tmp_path / f"{name}.log")
        for name, workers in (("first", 0), ("second", 1))
    ]  # fmt: skip
    for name, program in zip(("first", "second"), programs, strict=True):
        text = finish(program, tmp_path / f"{name}.log")
        assert steps_done(tmp_path / f"{name}.log") == 4, text
    first, second = (weights(tmp_path / name / "epoch_1.pth") for name in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)
