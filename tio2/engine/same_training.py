"""Check that a checkpoint comes from the training that a config describes, before the training goes on from it."""

import ast
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from semsize.structures.files import dotted
from tio2.engine.checkpoints import CheckpointError
from tio2.engine.config import effective_settings

MAY_DIFFER = (
    *("val_dataloader", "model.test_cfg"),  # how a model is tested
    *("train_cfg.max_epochs", "train_cfg.val_interval", "train_cfg.val_begin"),  # when a training ends and is validated
    *(f"train_dataloader.{name}" for name in ("num_workers", "persistent_workers", "pin_memory", "prefetch_factor")),
    "processes",
)
"""First parts of the keys of settings that change no step of a training: its length, its tests, who does the work."""

BATCH_KEYS = ("train_dataloader.batch_size", "train_dataloader.sampler.batch_size")


def require_same_training(meta: Mapping[str, Any], config: Config, processes: int, name: str) -> None:
    """Make sure that a training goes on with the settings that it began with.

    A checkpoint without settings is accepted, and so is one of an old version, without steps per epoch, because
    settings had other names then. The number of processes may change, and their batch size too if the total stays.

    Args:
        meta: the checkpoint's meta; ``cfg`` is the text of its config.
        config: the config of the resumed run.
        processes: the number of processes of the resumed run.
        name: the checkpoint's path, for the error.

    Raises:
        CheckpointError: A setting differs; the first one is named.
    """
    if not isinstance(meta.get("cfg"), str) or "steps_per_epoch" not in meta:
        return
    try:
        before, now = (_training_settings(text) for text in (meta["cfg"], config.pretty_text))
    except (SyntaxError, ValueError):
        raise CheckpointError(
            f"checkpoint {name} states a config that cannot be read; start a new run from it with "
            "--cfg-options load_from=…"
        ) from None
    totals = [
        settings.get(BATCH_KEYS[0], 0) * count
        for settings, count in ((before, meta.get("processes", processes)), (now, processes))
    ]
    may_differ = MAY_DIFFER + (BATCH_KEYS if totals[0] == totals[1] else ())
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and not key.startswith(may_differ):
            raise CheckpointError(
                f"checkpoint {name} was trained with {key} = {before.get(key)}, and the config has {now.get(key)}: "
                "resume with the same settings, or start a new run from it with --cfg-options load_from=…"
            )


def _training_settings(text: str) -> dict[str, Any]:
    """`effective_settings` with a key for each item of a list too, as --cfg-options names them."""

    def in_dicts(value: Any) -> Any:
        if isinstance(value, list):
            value = {str(number): each for number, each in enumerate(value)} if value else "[]"
        return {key: in_dicts(each) for key, each in value.items()} if isinstance(value, Mapping) else value

    return dotted(in_dicts(effective_settings(_config_of(text))))


def _config_of(text: str) -> Config:
    """Parse the config from a text of assignments, without running any code in it."""
    settings = {}
    for statement in ast.parse(text).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError("not an assignment of plain values")
        settings[statement.targets[0].id] = _plain(statement.value)
    return Config(settings)


def _plain(node: ast.expr) -> Any:
    """The value of an expression of constants, lists, tuples, dicts and calls of ``dict``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        return {word.arg: _plain(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(key): _plain(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [_plain(value) for value in node.elts]
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return node.id
    return ast.literal_eval(node)
