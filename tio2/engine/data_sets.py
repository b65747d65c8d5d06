"""Which data sets a config reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

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
