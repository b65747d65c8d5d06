"""The scripts make files that depend on the shipped weights anew when the weights were replaced."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tio2.engine.processes import limit_images_at_once

TOOLS = Path(__file__).parents[2] / "tools"
WEIGHTS = "checkpoints/light_free.pth"
PROGRAM = f"""#!/bin/sh
echo "$*" >> started
[ "$1" != - ] || exec {sys.executable} "$@"
"""
"""Stands for Python: notes what is started, and runs what is piped into it alone."""


@pytest.fixture
def run(tmp_path):
    """Runs a script in a folder of its own; gives the words of the programs that it starts."""
    (tmp_path / "checkpoints").mkdir()
    program = tmp_path / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)

    def call(script, *words):
        copied = shutil.copy(TOOLS / script, tmp_path / "tools" / script)
        (tmp_path / "started").write_text("")
        subprocess.run([copied, *words], env={**os.environ, "PYTHON": str(program)}, check=True)
        return (tmp_path / "started").read_text().splitlines()

    (tmp_path / "tools").mkdir()
    return call


def launched(path):
    """A config as a program of one process reads it."""
    config = Config.fromfile(path)
    config.launcher = "none"
    return config


def date(path, seconds):
    """Set a file's time of writing."""
    os.utime(path, (seconds, seconds))


def test_outlines_that_former_weights_found_are_found_anew(run, tmp_path):
    (tmp_path / WEIGHTS).touch()
    date(tmp_path / WEIGHTS, 1000)
    tests = [line for line in run("train_models.sh", "visibility") if line.startswith("tools/test.py")]
    assert len(tests) == 4
    for number, line in enumerate(tests):
        *_, data, _, split = line.split()
        found = tmp_path / "work_dirs/light_free" / f"{Path(data).name}-{split}" / "predictions.json"
        found.parent.mkdir(parents=True)
        found.touch()
        date(found, 2000 if number else 500)
    assert [line for line in run("train_models.sh", "visibility") if line.startswith("tools/test.py")] == tests[:1]


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="a GPU takes whole batches")
@pytest.mark.parametrize("model", ["free", "nc"])
def test_without_a_gpu_a_model_trains_on_two_images_at_once(run, model):
    trainings = [line.split() for line in run("train_models.sh", model) if line.startswith("tools/train.py")]
    assert len(trainings) == 2
    for _, path, *options in trainings:
        assert options == ["--resume", "--images-at-once", "2"]
        limit_images_at_once(launched(TOOLS.parent / path), 2)


def test_weights_without_mask_head_are_those_of_the_present_checkpoint(run, tmp_path):
    def replace(value, seconds):
        state = {"neck.weight": torch.full((1,), value), "roi_head.mask_head.weight": torch.zeros(1)}
        torch.save({"state_dict": state}, tmp_path / WEIGHTS)
        date(tmp_path / WEIGHTS, seconds)

    for value, seconds, made_anew in ((1.0, 1000, True), (1.0, 1000, False), (2.0, 3000, True)):
        replace(value, seconds)
        started = run("ablations.sh", "mask56")
        assert any(line.startswith("-") for line in started) == made_anew
        made = tmp_path / "work_dirs/ablations/no_mask_head.pth"
        assert torch.load(made)["state_dict"] == {"neck.weight": torch.tensor([value])}
        date(made, 2000)
