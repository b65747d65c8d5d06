"""What one config changes from another, and what its network starts from, computed from their resolved forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

EFFECTIVE = ("model", "train_dataloader", "val_dataloader", "optim_wrapper", "param_scheduler", "train_cfg")
"""Keys that decide what is trained and how; the others name places, machines, seeds, or pieces of these."""

EFFECTIVE_HOOKS = ("AveragedWeightsHook", "EMAHook")
"""Of the hooks those that change the weights; the others watch."""

PLACES = ("data_root", "ann_file")

JOINED = ".datasets"
"""End of the key under which data sets are joined."""


def config_changes(config: str | Path, base: str | Path) -> list[str]:
    """``key: value (base value)`` for every value that differs.

    Of a list of steps those added and removed are named, of data sets joined their folders.
    """
    here, there = effective_settings(config), effective_settings(base)
    keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    joined = tuple(key.removesuffix(JOINED) for key in keys if key.endswith(JOINED))
    told_at_once = tuple(f"{key}." for key in joined)
    sets = [f"{key}: {_folders(here.get(key + JOINED))} ({_folders(there.get(key + JOINED))})" for key in joined]
    return sets + [_change(key, here.get(key), there.get(key)) for key in keys if not key.startswith(told_at_once)]


def effective_settings(config: str | Path) -> dict[str, Any]:
    """Dotted key to value of all that decides what is trained and how; the training's seed is no such setting."""
    whole = Config.fromfile(config).to_dict()
    effective = {key: whole[key] for key in EFFECTIVE if key in whole}
    hooks = [dict(hook) for hook in whole.get("custom_hooks", []) if hook["type"] in EFFECTIVE_HOOKS]
    effective |= {hook.pop("type"): hook for hook in hooks}
    return {key: value for key, value in _values(effective) if not key.endswith(PLACES)}


def initial_weights(config: str | Path) -> str:
    """What a network starts from that loads no checkpoint: ``ImageNet``, an address of weights, or ``none``."""
    backbone = Config.fromfile(config).model.backbone
    if backbone.get("pretrained", False):
        return "ImageNet"
    return (backbone.get("init_cfg") or {}).get("checkpoint", "none")


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
    return f"{key}: {_text(here)} ({_text(there)})"


def _folders(data_sets: list[Mapping] | None) -> str:
    return " + ".join(each["data_root"].rstrip("/") for each in data_sets) if data_sets else "one data set"


def _text(value: Any) -> str:
    return ", ".join(step["type"] for step in value) if _is_steps(value) else str(value)


def _is_steps(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(step, Mapping) and "type" in step for step in value)
    )
