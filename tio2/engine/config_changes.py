"""What one config changes from another, computed from their resolved forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

EFFECTIVE = ("model", "train_dataloader", "val_dataloader", "optim_wrapper", "param_scheduler", "train_cfg")
"""Keys that decide what is trained and how; the others name places, machines, seeds, or pieces of these."""


def config_changes(config: str | Path, base: str | Path) -> list[str]:
    """Sorted ``key: value (base value)`` for every value that differs; of a list of steps, those added and removed."""
    here, there = (dict(_values(_effective(Config.fromfile(path).to_dict()))) for path in (config, base))
    keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    return [_change(key, here.get(key), there.get(key)) for key in keys if not key.endswith(("data_root", "ann_file"))]


def _effective(config: Mapping) -> dict:
    return {key: config[key] for key in EFFECTIVE if key in config}


def _values(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _values(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _change(key: str, here: Any, there: Any) -> str:
    if _is_steps(here) and _is_steps(there):
        new, old = ([step["type"] for step in steps] for steps in (here, there))
        changed = [f"+{name}" for name in new if name not in old] + [f"-{name}" for name in old if name not in new]
        return f"{key}: {', '.join(changed) or 'other settings of the same steps'}"
    return f"{key}: {here} ({there})"


def _is_steps(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(step, Mapping) and "type" in step for step in value)
    )
