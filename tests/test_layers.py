"""The house rule: who may import whom (docs/architecture.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tio2"
HEAVY = {"torch", "mmcv", "mmdet", "mmengine", "torchvision"}
GROUND = {  # room: rooms below it that it may import
    "structures": set(),
    "sem": {"structures"},
    "exchange": {"structures", "sem"},
    "metrology": {"structures"},
    "agglomerates": {"structures", "sem"},
    "synthesis": {"structures", "sem"},
    "reporting": {"structures", "metrology"},
    "baselines": {"structures", "sem", "metrology"},
}
FIRST = {"datasets", "models", "evaluation", "engine"}
TOP = {"measuring"}  # may import all; the network's packages only where they are used


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


def rooms(path):
    """Rooms of the package that a module imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("tio2.")}


def modules(room):
    return sorted((PACKAGE / room).glob("**/*.py"))


def test_every_room_is_known():
    found = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert found <= set(GROUND) | FIRST | TOP


@pytest.mark.parametrize("room", sorted(GROUND))
def test_ground_floor_imports_neither_torch_nor_mm_nor_rooms_above(room):
    for path in modules(room):
        assert not {name.split(".")[0] for name in imported(path)} & HEAVY, path
        assert rooms(path) <= GROUND[room] | {room}, path


@pytest.mark.parametrize("room", sorted(FIRST))
def test_first_floor_rooms_do_not_import_one_another(room):
    for path in modules(room):
        assert rooms(path) <= set(GROUND) | {room, "__version__"}, path


@pytest.mark.parametrize("room", sorted(set(GROUND) | FIRST))
def test_nothing_below_imports_the_top(room):
    for path in modules(room):
        assert not rooms(path) & TOP, path


def test_ground_floor_and_top_leave_torch_unimported_when_run():
    names = [f"tio2.{room}" for room in (*GROUND, *TOP) if (PACKAGE / room / "__init__.py").exists()]
    assert names
    code = f"import sys, {', '.join(names)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tools_are_not_imported():
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "tools").rglob("*.py")]:
        assert not any(name == "tools" or name.startswith("tools.") for name in imported(path)), path
