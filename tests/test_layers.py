"""Imports between rooms follow the rule of docs/architecture.md."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "mmcv", "mmdet", "mmengine", "torchvision"}
SEMSIZE = {  # room: rooms of semsize that it may import
    "structures": set(),
    "sem": {"structures"},
    "exchange": {"structures", "sem"},
    "metrology": {"structures"},
    "synthesis": {"structures", "sem"},
    "detecting": {"structures", "sem"},
    "visibility": {"structures", "metrology"},
    "measuring": {"structures", "sem", "exchange", "metrology", "detecting", "visibility"},
    "correcting": {"structures", "sem", "exchange", "measuring"},
    "programs": {
        *(
            "structures",
            "exchange",
            "metrology",
            "synthesis",
            "detecting",
            "visibility",
            "measuring",
            "correcting",
            "cli",
        ),
    },
}
PLAIN = {"agglomerates": set(), "baselines": set(), "reporting": set()}  # rooms of tio2 without torch
REGISTERED = {
    "datasets": {"agglomerates"},
    "models": set(),
    "evaluation": set(),
    "engine": {"agglomerates"},
}
SHARED = {"cli", "typed_settings"}  # modules of tio2 that any of its rooms may import


@functools.cache
def imported(path):
    """Dotted names that a module imports anywhere in its text."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms(path, package):
    """Rooms and modules of a package that a module imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith(f"{package}.")} - {"__version__"}


def modules(package, room=""):
    """The modules of a package, or of a room of it: a folder, or a single module."""
    single = ROOT / package / f"{room}.py"
    return [single] if room and single.is_file() else sorted((ROOT / package / room).rglob("*.py"))


@pytest.mark.parametrize(("package", "known"), [("semsize", set(SEMSIZE)), ("tio2", set(PLAIN) | set(REGISTERED))])
def test_every_room_is_known(package, known):
    folders = {path.name for path in (ROOT / package).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= known
    assert all(modules(package, room) for room in known)


def test_semsize_imports_neither_tio2_nor_torch_nor_mm_anywhere():
    for path in modules("semsize"):
        assert not {name.split(".")[0] for name in imported(path)} & (HEAVY | {"tio2"}), path


@pytest.mark.parametrize("room", SEMSIZE)
def test_a_room_of_semsize_imports_those_below_it(room):
    for path in modules("semsize", room):
        assert rooms(path, "semsize") <= SEMSIZE[room] | {room}, path


@pytest.mark.parametrize("room", PLAIN | REGISTERED)
def test_rooms_of_tio2_do_not_import_one_another(room):
    for path in modules("tio2", room):
        assert rooms(path, "tio2") <= (PLAIN | REGISTERED)[room] | {room} | SHARED, path


@pytest.mark.parametrize("room", PLAIN)
def test_plain_rooms_of_tio2_import_no_torch(room):
    for path in modules("tio2", room):
        assert not {name.split(".")[0] for name in imported(path)} & HEAVY, path


def test_semsize_and_the_plain_rooms_leave_torch_unimported_when_run():
    names = [*(f"semsize.{room}" for room in SEMSIZE), *(f"tio2.{room}" for room in PLAIN), "tio2.cli"]
    code = f"import sys, {', '.join(names)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_onnx_runtime_has_one_importer():
    found = {path.relative_to(ROOT) for path in modules("semsize") if "onnxruntime" in imported(path)}
    assert found == {Path("semsize/detecting/onnx.py")}


def test_tools_are_not_imported():
    for path in [*modules("semsize"), *modules("tio2"), *modules("tools")]:
        assert not any(name == "tools" or name.startswith("tools.") for name in imported(path)), path
