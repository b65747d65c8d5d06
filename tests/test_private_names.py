"""The code uses exactly the private names of other packages that docs/architecture.md lists, in the listed files."""

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = ("tio2", "semsize", "tools")
PRIVATE = re.compile("_[A-Za-z]")
DOCUMENTED = {"_exit"}  # of os
SAMPLE = """
import upstream._hidden
from upstream import _function, open_name
from semsize.structures import _ours

class Ours:
    def _find(self, other):
        self._kept = other._cfg
        return self._kept, self._find, other._find
"""


def test_the_table_lists_what_is_used_and_nothing_else():
    files = [path for package in OWN for path in sorted((ROOT / package).rglob("*.py"))]
    used = {(name, path.relative_to(ROOT).as_posix()) for path in files for name in used_in(path)}
    assert used == listed()


def test_imports_and_attributes_of_others_are_found(tmp_path):
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    assert set(used_in(tmp_path / "sample.py")) == {"_hidden", "_function", "_cfg"}


def listed() -> set[tuple[str, str]]:
    """Name and file of the rows of the table."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Private names")[1]
    rows = [row.split("|")[2:4] for row in page.splitlines() if row.startswith("|") and "`" in row]
    quoted = [[re.findall("`([^`]+)`", cell) for cell in row] for row in rows]
    return {(name, file) for names, files in quoted for name in names for file in files}


def used_in(path: Path) -> Iterator[str]:
    """Private names that a module imports of others, overrides, or takes from what is not its own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    own = DOCUMENTED | set(defined_in(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = imported(node)
            if names[0].split(".")[0] not in OWN:
                yield from (part for name in names for part in name.split(".") if PRIVATE.match(part))
        elif isinstance(node, ast.ClassDef):
            yield from (name for name in defined_in(node) if PRIVATE.match(name) and is_inherited(path, node, name))
        elif isinstance(node, ast.Attribute) and PRIVATE.match(node.attr) and node.attr not in own:
            cls = class_around(node, parents) if is_own_object(node.value) else None
            if cls is None or is_inherited(path, cls, node.attr):
                yield node.attr


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module, *(alias.name for alias in node.names)]


def defined_in(tree: ast.AST) -> Iterator[str]:
    """Names of functions and classes, and of attributes that a class gives its objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own_object(node.value):
            yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def is_own_object(node: ast.AST) -> bool:
    """Whether an expression is `self`, `cls` or `super()`."""
    called = node.func if isinstance(node, ast.Call) else node
    return isinstance(called, ast.Name) and called.id in ("self", "cls", "super")


def class_around(node: ast.AST | None, parents: dict[ast.AST, ast.AST]) -> ast.ClassDef | None:
    while node is not None and not isinstance(node, ast.ClassDef):
        node = parents.get(node)
    return node


def is_inherited(path: Path, node: ast.ClassDef, name: str) -> bool:
    """Whether a base of another package has an attribute, or gives it to its objects."""
    if not node.bases:
        return False
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    bases = [base for base in getattr(module, node.name).__mro__ if base.__module__.split(".")[0] not in OWN]
    return any(name in vars(base) or name in given_by(base) for base in bases)


@functools.cache
def given_by(cls: type) -> set[str]:
    """Private attributes that the methods of a class give its objects."""
    try:
        return set(re.findall(r"\bself\.(_\w+)\b", inspect.getsource(cls)))
    except (OSError, TypeError):  # written in C
        return set()
