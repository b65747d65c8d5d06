"""Which data sets a config reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from semsize.exchange import crowd_flag
from semsize.structures.json_files import read_json
from tio2.engine.settings import ConfigError

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
