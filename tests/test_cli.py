"""Parts common to all programs: imports without noise, and systems that lack a module."""

import subprocess
import sys
from pathlib import Path

import pytest

from tio2.cli import quiet_imports, required_imports

ROOT = Path(__file__).parents[1]


def test_imports_are_quiet_but_for_what_somebody_should_know(capsys):
    with quiet_imports():
        print("Could not import OneDL. Skipping OneDL datasets.")
        print("something else")
        print("not ended", end="")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "something else\nnot ended")


def test_a_module_of_this_project_that_is_missing_keeps_its_traceback():
    with pytest.raises(ModuleNotFoundError, match="tio2"), required_imports():
        import tio2.nowhere  # noqa: F401


WITHOUT_POSIX = """
import os, signal, sys
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None  # an import of it fails
for name in ("SIGUSR1", "pthread_sigmask", "sigwaitinfo"):
    delattr(signal, name)
from tio2.cli import quiet_imports
with quiet_imports():
    import tio2.engine, tio2.engine.launch, tio2.engine.hooks, tio2.engine.resumption, tio2.engine.cross_validation
    import tio2.inference, semsize.measuring.measurement, tio2.evaluation
from tio2.engine.resumption import STOP_SIGNALS, ShieldedWorker
assert STOP_SIGNALS == (signal.SIGTERM,)
ShieldedWorker(None)(0)
"""


def test_the_package_imports_where_posix_modules_and_signals_are_missing():
    done = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "OneDL" not in done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(ROOT.glob("tools/**/*.py")), ids=lambda path: path.stem)
def test_programs_import_mmdetection_quietly_and_nothing_that_windows_lacks(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    heavy = ("tio2.engine", "tio2.models", "tio2.datasets", "tio2.evaluation", "tio2.inference", "mmdet")
    for line in lines:
        name = line.removeprefix("from ").removeprefix("import ")
        assert line == name or not name.startswith((*heavy, "resource", "fcntl")), f"{path}: {line}"
