"""That nothing a fold is trained with comes from the images that it keeps back: start weights, cut out agglomerates."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from semsize.structures.annotations import read_annotations
from semsize.structures.json_files import read_json
from tio2.agglomerates import AgglomerateLibrary
from tio2.engine.data_sets import FOLD_MARK, annotation_file, data_sets, divided_set
from tio2.engine.settings import ConfigError


def start_of_fold(config: Config, number: int, kept_back: Sequence[str]) -> str | None:
    """Weights that a fold starts from: the same fold's, where the run that they are from saw what is kept back.

    Raises:
        ConfigError: That run was not cross-validated with the same folds.
    """
    if not config.load_from or FOLD_MARK in config.load_from:
        return config.load_from
    start = Path(config.load_from)
    settings = next(iter([*start.parent.glob("*.py"), *start.parent.glob("cv/*.py")]), None)
    if settings is None or seen_images(Config.fromfile(settings), divided_set(config)).isdisjoint(kept_back):
        return config.load_from
    notes = start.parent / "cv" / "folds.json"
    others = read_json(notes, ConfigError)["kept_back"] if notes.is_file() else []
    if number >= len(others) or others[number] != list(kept_back):
        raise ConfigError(
            f"{start} has seen images that are kept back; cross-validate {settings.stem} first, with the same "
            "--folds and --seed: each fold then starts from its own weights"
        )
    return str(start.parent / "cv" / f"fold_{number}" / "run" / start.name)


def seen_images(other: Config, divided: ConfigDict) -> set[str]:
    """Names of the images of the divided set's folder that another config trains on."""
    root = Path(divided.data_root).resolve()
    same = [each for each in data_sets(other.train_dataloader) if Path(each.data_root).resolve() == root]
    return {image["file_name"] for each in same for image in read_annotations(annotation_file(each))["images"]}


def require_unseen_libraries(config: Config, kept_back: Sequence[Sequence[str]]) -> None:
    """Make sure that no agglomerate library of the training holds what a fold keeps back.

    A library that stands for each fold, ``{fold}`` in its path, and is not there yet is left to the training to miss.

    Raises:
        ConfigError: One does.
        LibraryError: One is no library.
    """
    for setting in set(_libraries(config.train_dataloader)):
        for number, names in enumerate(kept_back):
            path = Path(setting.replace(FOLD_MARK, str(number)))
            if FOLD_MARK in setting and not path.is_file():
                continue
            seen = {agglomerate.source for agglomerate in AgglomerateLibrary.load(path)} & set(names)
            if seen:
                raise ConfigError(
                    f"{path} holds agglomerates of {min(seen)}, which fold {number} keeps back; build a library of "
                    "each fold and name them with {fold} in the path (docs/evaluation.md)"
                )


def _libraries(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if "library" in node:
            yield node["library"]
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _libraries(child)
