"""Programs of tools/ as modules, for tests that call the functions in them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).parents[1] / "tools"


def tool_module(name: str) -> ModuleType:
    """Import ``tools/<name>.py``, such as `benchmarks/realism`, anew as a module."""
    spec = importlib.util.spec_from_file_location(f"{Path(name).name}_tool", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
