"""A config's settings of the project's own classes, held against what these take, before anything is built."""

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmdet import registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

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
