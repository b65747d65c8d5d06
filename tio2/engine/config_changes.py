"""What one config changes from another, computed from their resolved forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

IGNORED = ("work_dir", "load_from", "resume", "launcher", "randomness.seed", "env_cfg", "visualizer", "vis_backends")
"""Keys that name a place, a machine or a seed; a start from other weights is said by ``run.json``."""

NAMES_ONLY = ("load", "augment", "pack", "epochs", "norm", "sem", "batch_size", "val_evaluator", "test_evaluator")
"""Variables of config files that take effect elsewhere in them, and where the truth is read."""


def config_changes(config: str | Path, base: str | Path) -> list[str]:
    """Sorted ``key: value (base's value)`` for every value that differs; a list of steps counts as one value."""
    here, there = (dict(_values(Config.fromfile(path).to_dict())) for path in (config, base))
    keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    return [f"{key}: {_short(here.get(key))} ({_short(there.get(key))})" for key in keys if not _is_ignored(key)]


def _values(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_ignored(key: str) -> bool:
    return key.startswith(IGNORED) or key.split(".")[0] in NAMES_ONLY or key.endswith(("data_root", "ann_file"))


def _short(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(step, Mapping) and "type" in step for step in value):
        return " → ".join(str(step["type"]) for step in value)
    return str(value)
