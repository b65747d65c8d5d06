"""The installed package: dependencies that the pinned environment meets, the command, a message without torch."""

import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

from semsize import cli
from semsize.detecting.models import SHIPPED
from semsize.measuring import engines, predicted_states

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, DATA_FILES = SETTINGS["project"], SETTINGS["tool"]["setuptools"]["data-files"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), flags=re.M))


@pytest.mark.parametrize(
    "stated", [*PROJECT["dependencies"], *(one for some in PROJECT["optional-dependencies"].values() for one in some)]
)
def test_the_pinned_environment_satisfies_each_dependency(stated):
    requirement = Requirement(stated)
    assert requirement.specifier.contains(PINS[requirement.name])


def test_every_pin_is_somebody_s_dependency_or_builds_mmcv():
    stated = [*PROJECT["dependencies"], *(one for some in PROJECT["optional-dependencies"].values() for one in some)]
    builds = {"setuptools", "wheel", "ninja", "packaging"}
    assert set(PINS) == {Requirement(one).name for one in stated} | builds


def test_the_instrument_needs_neither_torch_nor_tools_for_tests():
    names = {Requirement(one).name for one in PROJECT["dependencies"]}
    assert not names & {"torch", "pytest", "ruff", "hypothesis"}
    assert not {name for name in names if name.startswith("onedl")}


@pytest.mark.parametrize("group", [engines.GROUP, predicted_states.GROUP])
def test_the_engines_are_found_by_their_entry_points(group):
    installed = {point.name: point.value for point in entry_points(group=group)}
    assert installed == PROJECT["entry-points"][group], "run make setup"
    assert all(callable(point.load()) for point in entry_points(group=group))


@pytest.mark.parametrize(("name", "value"), PROJECT["entry-points"][cli.GROUP].items())
def test_programs_that_other_packages_bring_are_functions_without_arguments(name, value):
    module, _, function = value.partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert f"semsize {name}" in cli.USAGE
    assert name in cli.ELSEWHERE


@pytest.mark.parametrize("name", SHIPPED)
def test_a_wheel_holds_a_model_that_ships_where_it_is_looked_for(name):
    model = SHIPPED[name]
    for file in (model.checkpoint, model.archive, model.checkpoint.with_suffix(".bias.json"), model.config):
        place = file.relative_to(ROOT)
        globs = DATA_FILES[f"share/tio2/{place.parent.as_posix()}"]
        assert any(place.match(glob) for glob in globs), place


@pytest.mark.parametrize("name", cli.PROGRAMS)
def test_the_command_starts_each_program(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["semsize", *name.split(), "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert f"usage: semsize {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["melt"], ["convert"], ["convert", "melt"]])
def test_another_word_is_refused_in_one_line(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["semsize", *words])
    with pytest.raises(SystemExit, match=r"^error: [^\n]*semsize --help[^\n]*$"):
        cli.main()


def test_without_a_word_the_command_shows_examples(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["semsize"])
    cli.main()
    assert "semsize measure scans" in capsys.readouterr().out


WITHOUT_TORCH = """
import runpy, sys
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"torch", "mmengine", "mmcv", "mmdet"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
sys.path.insert(0, "")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program of tools/ as where only `pip install .` was done."""


def error_without_torch(*words):
    """The one line with which a program ends."""
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_where_torch_is_missing_measuring_with_it_is_one_line(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 50), np.uint8))
    error = error_without_torch("tools/measure.py", tmp_path, "--out", tmp_path / "out", "--engine", "torch")
    assert "tio2[train]" in error


@pytest.mark.parametrize("name", ["train.py", "test.py"])
def test_where_torch_is_missing_a_program_of_training_is_one_line(name):
    error = error_without_torch(f"tools/{name}", "configs/demo/demo_stage1.py")
    assert error == f"error: {name} needs PyTorch and MMDetection: pip install 'tio2[train]'\n"
