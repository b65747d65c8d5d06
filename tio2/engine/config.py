"""Check the settings of a config, find its data sets, and list what decides a training and what decides detections."""

import difflib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet import registry
from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry
from mmengine.runner import Runner

from semsize.detecting.looking import outline_rules
from semsize.metrology import ModelUse
from semsize.structures import crowd_flag
from semsize.structures.files import dotted, read_json
from tio2.typed_settings import SettingError, check_arguments, is_own

TAKEN_BEFORE = {  # settings that MMEngine removes before it builds the class
    registry.HOOKS: {"priority": int | str},
    registry.OPTIM_WRAPPERS: {"paramwise_cfg": dict | None, "constructor": str},
}
RUNNER_READS = {  # keys of a config besides the Runner's arguments
    *("model_wrapper_cfg", "sync_bn", "find_unused_parameters", "activation_checkpointing", "efficient_conv_bn_eval"),
    *("compile", "custom_imports"),
}
FOLD_MARK = "{fold}"
"""Placeholder of a fold's number in a setting."""

TRAINING_KEYS = ("model", "train_dataloader", "val_dataloader", "optim_wrapper", "param_scheduler", "train_cfg")
"""Keys that decide what is trained and how; other keys set folders, machines or seeds, or are variables of a config."""

DETECTION_KEYS = (
    "test_cfg",
    "data_preprocessor",
    "rpn_head.anchor_generator",
    "rpn_head.bbox_coder",
    "roi_head.bbox_head.bbox_coder",
    "roi_head.bbox_roi_extractor.roi_layer",
    "roi_head.mask_roi_extractor.roi_layer",
)
"""Keys of a config's model that decide detections and are not in the weights."""


class ConfigError(ValueError):
    """A config that cannot be run; the message is one line that says what to do."""


def read_config_file(path: str | Path, **options: Any) -> Config:
    """Read a config file, with options of `Config.fromfile`.

    Raises:
        ConfigError: The file does not exist, or is no Python file.
    """
    if Path(path).suffix != ".py":
        raise ConfigError(f"config {path} is no Python file; see configs/tio2 for configs")
    if not Path(path).is_file():
        raise ConfigError(f"config {path} does not exist; see configs/tio2 for those that do")
    return Config.fromfile(path, **options)


def check_settings(config: Config) -> None:
    """Compare the settings of this package's classes with their constructors, before anything is built.

    A class may check settings that its constructor passes on in a static method `check_settings(settings, place)`.

    Raises:
        ConfigError: A setting is unknown or has a wrong type.
    """
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    own = {name: kind for each in registries for name, kind in each.module_dict.items() if is_own(kind)}
    for place, settings in dicts_in(config._cfg_dict):
        kind = own.get(settings["type"]) if isinstance(settings.get("type"), str) else None
        if kind is None:
            continue
        try:
            others = (hints for each, hints in TAKEN_BEFORE.items() if kind.__name__ in each.module_dict)
            check_arguments(kind, settings, place, next(others, None))
            if hasattr(kind, "check_settings"):
                kind.check_settings(settings, place)
        except SettingError as error:
            raise ConfigError(f"{config.filename}: {error}") from None
    _check_scales(config)


def _check_scales(config: Config) -> None:
    """Make sure that images are not enlarged twice, by a test pipeline and by `model.test_cfg.scales`."""
    has_scales = (config.get("model", {}).get("test_cfg") or {}).get("scales")
    for name in ("val_dataloader", "test_dataloader") if has_scales else ():
        for dataset in data_sets(config.get(name)):
            if steps := [step["type"] for step in dataset.get("pipeline", ()) if "Resize" in step["type"]]:
                raise ConfigError(
                    f"{config.filename}: {steps[0]} in the pipeline of {name} and model.test_cfg.scales both resize "
                    "images; remove the step, or set scales to None"
                )


def dicts_in(node: Any, place: str = "") -> Iterator[tuple[str, Mapping]]:
    """Yield every dict of a config after its place, such as `train_dataloader.sampler`, from the outermost inwards."""
    if isinstance(node, Mapping):
        yield place, node
        children = node.items()
    else:
        children = enumerate(node) if isinstance(node, list | tuple) else ()
    for key, child in children:
        yield from dicts_in(child, f"{place}.{key}" if place else str(key))


def check_options(config: Config, options: Mapping[str, Any]) -> None:
    """Make sure that options set something: each must begin with a setting that a Runner or this package reads.

    Other names of a config, such as `epochs`, are variables of its file: they were used while it was read.

    Raises:
        ConfigError: An option sets nothing.
    """
    known = {*inspect.signature(Runner.__init__).parameters, *RUNNER_READS} - {"self", "cfg"}
    for option in options:
        first = option.split(".")[0]
        if first in known:
            continue
        if first in config:
            raise ConfigError(
                f"--cfg-options {option}: {first} is a variable that {config.filename} uses while it is read; set what "
                "it decides, for example train_cfg.max_epochs"
            )
        near = difflib.get_close_matches(first, known, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(f"--cfg-options {option}: {config.filename} has no {first}{meant}")


def data_sets(node: Any) -> Iterator[ConfigDict]:
    """Yield the settings of every data set that a loader reads, also of wrapped and joined ones."""
    return (settings for _, settings in dicts_in(node) if "ann_file" in settings)


def annotation_file(dataset: ConfigDict) -> Path:
    """A data set's annotation file."""
    return Path(dataset.data_root) / dataset.ann_file


def divided_set(config: Config) -> ConfigDict:
    """Return the settings of the training set in the val set's folder; others hold, for example, simulated images.

    If several data sets read the same annotation file, the first of them is returned.

    Raises:
        ConfigError: The val set's folder holds no training set, or training sets with different annotation files.
    """
    root = Path(config.val_dataloader.dataset.data_root).resolve()
    found = [each for each in data_sets(config.train_dataloader) if Path(each.data_root).resolve() == root]
    found = list({each.ann_file: each for each in reversed(found)}.values())
    if len(found) != 1:
        raise ConfigError(
            f"{config.filename}: {len(found)} training sets stand in {config.val_dataloader.dataset.data_root}, "
            "the folder of the val set; one is needed"
        )
    return found[0]


def is_detector(config: Config) -> bool:
    """Whether the model finds particles; a visibility model judges outlines that were found."""
    return "roi_head" in (config.get("model") or {})


def count_particles(file: Path) -> tuple[int, int] | None:
    """Count the images of an annotation file, and its particles without regions to ignore.

    Returns:
        None if it is no annotation file; the data set that reads it raises the error.
    """
    data = read_json(file, ConfigError)
    try:
        crowds = [crowd_flag(annotation.get("iscrowd", 0)) for annotation in data["annotations"]]
        return len(data.get("images", ())), crowds.count(False)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def config_changes(config: Config, base: Config, processes: tuple[int, int] = (1, 1)) -> list[str]:
    """List ``key: value (base value)`` for every setting of a training that differs from the base config's.

    A list of steps is given by the steps added and removed, joined data sets by their folders.
    """
    here, there = (effective_settings(*each) for each in zip((config, base), processes, strict=True))
    keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
    joined = tuple(key.removesuffix("datasets") for key in keys if key.endswith(".datasets"))
    changes = []
    for key in joined:
        new, old = (_folders(values.get(f"{key}datasets")) for values in (here, there))
        changes.append(f"{key[:-1]}: {new} ({old})")
    return changes + [_change(key, here.get(key), there.get(key)) for key in keys if not key.startswith(joined)]


def _folders(data_sets: list[Mapping] | None) -> str:
    return " + ".join(each["data_root"].rstrip("/") for each in data_sets) if data_sets else "one data set"


def _change(key: str, new: Any, old: Any) -> str:
    names, names_before = _step_names(new), _step_names(old)
    if names and names_before:
        changed = [f"+{name}" for name in names if name not in names_before]
        changed += [f"-{name}" for name in names_before if name not in names]
        return f"{key}: {', '.join(changed) or 'other settings of the same steps'}"
    return f"{key}: {', '.join(names) or new} ({', '.join(names_before) or old})"


def _step_names(value: Any) -> list[str]:
    """Types of the steps in a list; empty if the value is no list of steps."""
    is_steps = isinstance(value, list) and all(isinstance(step, Mapping) and "type" in step for step in value)
    return [step["type"] for step in value] if is_steps else []


def as_tested(trained: Config, tested: Config) -> Config:
    """The config of a training with the model as it was tested, for example with other limits or views."""
    config = Config(trained.to_dict())
    config.model = {**tested.model, "train_cfg": trained.model.get("train_cfg")}
    return config


def effective_settings(config: Config, processes: int = 1) -> dict[str, Any]:
    """Return dotted key to value of all settings that decide what is trained and how, except the seed.

    The folds of a cross-validation have equal settings: paths in a fold's folder are relative to it (``train.json``),
    and ``{fold}`` replaces the fold's number in other paths.
    """
    whole = _without_fold(config.to_dict(), Path(config.get("work_dir") or ""))
    effective = {key: whole[key] for key in TRAINING_KEYS if key in whole}
    if (whole.get("auto_scale_lr") or {}).get("enable"):
        effective["auto_scale_lr"] = whole["auto_scale_lr"]
    hooks = [dict(hook) for hook in whole.get("custom_hooks", []) if hook["type"] == "EMAHook"]  # averages weights
    effective |= {hook.pop("type"): hook for hook in hooks}
    return dotted(effective) | {"processes": processes}


def _without_fold(value: Any, run: Path) -> Any:
    """Replace what differs between the folds of a cross-validation; other settings are returned as they are."""
    fold = re.fullmatch(r"fold_(\d+)", run.parent.name) if run.parent.parent.name == "cv" else None
    if fold is None:
        return value
    if isinstance(value, Mapping):
        return {key: _without_fold(each, run) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_fold(each, run) for each in value)
    if isinstance(value, str):
        return re.sub(rf"(?<=fold_){fold[1]}(?!\d)", FOLD_MARK, value.removeprefix(f"{run.parent}/"))
    return value


def initial_weights(config: Config) -> str:
    """Return the start of a network without a checkpoint: ``ImageNet``, the address of weights, or ``none``."""
    backbone = config.model.get("backbone") or {}
    if backbone.get("pretrained", False):
        return "ImageNet"
    return (backbone.get("init_cfg") or {}).get("checkpoint", "none")


def operating_point(config: Config) -> dict[str, float]:
    """The limits that decide which predictions are kept."""
    rpn, rcnn = config.model.test_cfg.rpn, config.model.test_cfg.rcnn
    return {
        "score": rcnn.score_thr,
        "box_nms_iou": rcnn.nms.iou_threshold,
        "proposals": rpn.max_per_img,
        "instances": rcnn.max_per_img,
    }


def detection_settings(
    config: Config, tile: Sequence[int] | None = None, diameter: str | None = None
) -> dict[str, Any]:
    """Return what besides weights and precision decides detections, as dotted key to JSON value.

    That is the test pipeline between loading and packing, `DETECTION_KEYS` of the model (scales, thresholds, limits,
    views, anchors), how masks become outlines, size and overlap of tiles in px (None: large images only), and the
    diameter that chooses scales. Names of files, folders and the network's classes are not included.
    """
    pipeline = config.test_dataloader.dataset.pipeline
    settings = {
        "tile": None if tile is None else list(tile),
        "diameter": diameter,
        "pipeline": [step for step in pipeline[1:] if step["type"] != "PackDetInputs"],
    }
    for name in DETECTION_KEYS:
        part = config.model
        for key in name.split("."):
            part = part.get(key) or {}
        settings |= dotted(part, f"model.{name}.")
    settings |= outline_rules(config.model.get("test_cfg", {}).get("scales"))
    return json.loads(json.dumps(settings, sort_keys=True, default=str))


def model_use(
    config: Config, sha256: str, precision: str, tile: Sequence[int] | None = None, diameter: str | None = None
) -> ModelUse:
    """Return the use of a model to which a bias record is bound; `sha256` is the hash of the weights."""
    return ModelUse(sha256, "torch", precision, detection_settings(config, tile, diameter))
