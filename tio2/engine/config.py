"""What a config says: settings held against the classes that take them, data sets, what two configs differ in."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdet import registry
from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry
from mmengine.runner import Runner

from semsize.structures import crowd_flag
from semsize.structures.files import read_json
from tio2.typed_settings import SettingError, check_arguments, is_own

TAKEN_BEFORE = {  # by MMEngine, before it builds the class
    registry.HOOKS: {"priority": int | str},
    registry.OPTIM_WRAPPERS: {"paramwise_cfg": dict | None, "constructor": str},
}
RUNNER_READS = {  # keys of a config besides the Runner's arguments
    *("model_wrapper_cfg", "sync_bn", "find_unused_parameters", "activation_checkpointing", "efficient_conv_bn_eval"),
    *("compile", "custom_imports"),
}


class ConfigError(ValueError):
    """A config that cannot be run; the message is one line that says what to do."""


def check_settings(config: Config) -> None:
    """Name the first unknown setting, or value of a wrong type, of a class of this package.

    A class may have a static method `check_settings(settings, place)` for those that its constructor hands on.

    Raises:
        ConfigError: There is one.
    """
    own = own_classes()
    for place, settings in typed_dicts(config._cfg_dict):
        kind = own.get(settings["type"]) if isinstance(settings["type"], str) else None
        if kind is None:
            continue
        try:
            others = (hints for each, hints in TAKEN_BEFORE.items() if kind.__name__ in each.module_dict)
            check_arguments(kind, settings, place, next(others, None))
            if hasattr(kind, "check_settings"):
                kind.check_settings(settings, place)
        except SettingError as error:
            raise ConfigError(f"{config.filename}: {error}") from None


def check_options(config: Config, options: Mapping[str, Any]) -> None:
    """Make sure that options set something: their first names must be a key of the config, or one that a Runner reads.

    Raises:
        ConfigError: One is neither.
    """
    known = {*config, *inspect.signature(Runner.__init__).parameters, *RUNNER_READS} - {"self", "cfg"}
    for option in options:
        first = option.split(".")[0]
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(f"--cfg-options {option}: {config.filename} has no {first}{meant}")


def own_classes() -> dict[str, type]:
    """Registered name to class, of this package's classes."""
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    classes = {name: kind for each in registries for name, kind in each.module_dict.items()}
    return {name: kind for name, kind in classes.items() if is_own(kind)}


def typed_dicts(node: Any, place: str = "") -> Iterator[tuple[str, Mapping]]:
    """Every dict with a `type` that a config holds, and its place, such as `train_dataloader.sampler`."""
    if isinstance(node, Mapping):
        if "type" in node:
            yield place, node
        children = node.items()
    elif isinstance(node, list | tuple):
        children = enumerate(node)
    else:
        return
    for key, child in children:
        yield from typed_dicts(child, f"{place}.{key}" if place else str(key))


FOLD_MARK = "{fold}"
"""Stands for a fold's number in a setting."""


def data_sets(node: Any) -> Iterator[ConfigDict]:
    """The settings of every data set that a loader reads, within whatever wraps or joins them."""
    if isinstance(node, Mapping) and "ann_file" in node:
        yield node
    elif isinstance(node, Mapping | list | tuple):
        for child in node.values() if isinstance(node, Mapping) else node:
            yield from data_sets(child)


def annotation_file(dataset: ConfigDict) -> Path:
    """A data set's annotation file."""
    return Path(dataset.data_root) / dataset.ann_file


def require_particles(config: Config) -> None:
    """Make sure that there is a particle to train on, in one of the training sets that exist.

    Raises:
        ConfigError: All of them hold regions to ignore at most, or nothing.
    """
    files = [file for file in map(annotation_file, data_sets(config.train_dataloader)) if file.is_file()]
    for file in files:
        data = read_json(file, ConfigError)
        annotations = data.get("annotations") if isinstance(data, Mapping) else None
        if not isinstance(annotations, list) or any(_is_particle(one) for one in annotations):
            return  # what is no annotation file, the data set that reads it names
    if files:
        names = ", ".join(map(str, files))
        raise ConfigError(f"{names}: not one particle to train on, regions to ignore apart; convert the set again")


def _is_particle(annotation: Any) -> bool:
    try:
        return not crowd_flag(annotation.get("iscrowd", 0))
    except (AttributeError, ValueError):
        return True


def divided_set(config: Config) -> ConfigDict:
    """The settings of the training set that stands in the val set's folder; others are, for example, simulated.

    Raises:
        ConfigError: There is none, or several.
    """
    root = Path(config.val_dataloader.dataset.data_root).resolve()
    found = [each for each in data_sets(config.train_dataloader) if Path(each.data_root).resolve() == root]
    if len(found) != 1:
        raise ConfigError(
            f"{config.filename}: {len(found)} training sets stand in {config.val_dataloader.dataset.data_root}, "
            "the folder of the val set; one is needed"
        )
    return found[0]


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
