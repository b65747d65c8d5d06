"""Cross-validation of a config: its training images in folds, each image tested with weights that never saw it.

A cross-validation's folder, ``work_dirs/<config>/cv``, holds `folds.json`, the config, and for each fold a folder with
the fold's config, its `train.json` and `val.json`, and the run; images are not copied.
"""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from semsize.exchange.writing import assign_folds
from semsize.structures import read_annotations, read_predictions, write_annotations, write_predictions
from semsize.structures.files import read_json, write_json
from tio2.agglomerates import AgglomerateLibrary
from tio2.agglomerates.covering import COVERED
from tio2.engine.config import (
    FOLD_MARK,
    ConfigError,
    annotation_file,
    data_sets,
    dicts_in,
    divided_set,
)
from tio2.engine.folds import Fold
from tio2.engine.testing import name_of_split


def prepare_folds(config: Config, folds: int, seed: int) -> list[Fold]:
    """Divide the training images and write each fold's annotation files and config.

    The training set in the folder of the val set is divided, wherever the config names it, and with it what a detector
    found in its images; other sets, of simulated images for example, are trained on whole. ``{fold}`` in a setting
    becomes the fold's number: what is made from the training images must be made from each fold's. Nothing is validated
    while a fold trains.

    Args:
        config: As `launch.read_config` returns it; the folds go to ``<work_dir>/cv``.
        folds: How many.
        seed: Of the division.

    Raises:
        ConfigError: There are too few images, no set to divide or several, another cross-validation stands in the
            folder, or start weights, agglomerates or covered particles come from images that are kept back.
        AnnotationError: The annotation file cannot be read.
        LibraryError: A library of agglomerates cannot be read.
    """
    divided = divided_set(config)
    truth = read_annotations(annotation_file(divided))
    particles = Counter(annotation["image_id"] for annotation in truth["annotations"] if not annotation["iscrowd"])
    counts = [particles[image["id"]] for image in truth["images"]]
    try:
        assigned = assign_folds(counts, folds, np.random.default_rng(seed))
    except ValueError as error:
        raise ConfigError(f"{annotation_file(divided)}: {error}") from None
    names = [[i["file_name"] for i, of in zip(truth["images"], assigned, strict=True) if of == k] for k in range(folds)]
    starts = [_start_of_fold(config, number, kept_back) for number, kept_back in enumerate(names)]
    _require_unseen_images(config, names)
    folder = Path(config.work_dir) / "cv"
    _claim(folder, config, {"seed": seed, "kept_back": names})
    return [
        _write_fold(folder / f"fold_{number}", number, config, truth, kept_back, start)
        for number, (kept_back, start) in enumerate(zip(names, starts, strict=True))
    ]


def _start_of_fold(config: Config, number: int, kept_back: Sequence[str]) -> str | None:
    """Weights that a fold starts from; if the run that made them saw what is kept back, that run's same fold.

    Raises:
        ConfigError: That run was not cross-validated with the same folds.
    """
    if not config.load_from or FOLD_MARK in config.load_from:
        return config.load_from
    start = Path(config.load_from)
    made_by = next(iter([*start.parent.glob("*.py"), *start.parent.glob("cv/*.py")]), None)
    if made_by is None or _seen_images(Config.fromfile(made_by), config).isdisjoint(kept_back):
        return config.load_from
    notes = start.parent / "cv" / "folds.json"
    others = read_json(notes, ConfigError)["kept_back"] if notes.is_file() else []
    if number >= len(others) or others[number] != list(kept_back):
        raise ConfigError(
            f"{start} has seen images that are kept back; cross-validate {made_by.stem} first, with the same "
            "--folds and --seed: each fold then starts from its own weights"
        )
    return str(start.parent / "cv" / f"fold_{number}" / "run" / start.name)


def _seen_images(other: Config, config: Config) -> set[str]:
    """Names of the images in the folder of the divided set that another config trains on."""
    root = Path(divided_set(config).data_root).resolve()
    seen = [each for each in data_sets(other.train_dataloader) if Path(each.data_root).resolve() == root]
    return {image["file_name"] for each in seen for image in read_annotations(annotation_file(each))["images"]}


def _require_unseen_images(config: Config, kept_back: Sequence[Sequence[str]]) -> None:
    """Make sure that no library of agglomerates and no other training set is made from images that a fold keeps back.

    If each fold has one of its own (``{fold}`` in its path), one that does not exist yet is not an error here: the
    fold's training opens it.
    """
    libraries = {settings["library"] for _, settings in dicts_in(config.train_dataloader) if "library" in settings}
    others = {str(annotation_file(each)) for each in data_sets(config.train_dataloader)}
    for setting in sorted(libraries | others - {str(annotation_file(divided_set(config)))}):
        for number, names in enumerate(kept_back):
            path = Path(setting.replace(FOLD_MARK, str(number)))
            if FOLD_MARK in setting and not path.is_file():
                continue
            if setting in libraries:
                sources = {agglomerate.source for agglomerate in AgglomerateLibrary.load(path)}
            else:
                sources = {(i.get("source") or "").removeprefix(COVERED) for i in read_annotations(path)["images"]}
            if seen := sources & set(names):
                raise ConfigError(
                    f"{path} holds particles of {min(seen)}, which fold {number} keeps back; make one of each fold's "
                    "training images and name them with {fold} in the path (docs/training.md)"
                )


def _claim(folder: Path, config: Config, division: dict) -> None:
    """Note in the folder which division and config it is for, or make sure that it is for the same."""
    notes, settings = folder / "folds.json", folder / Path(config.filename).name
    text = config.pretty_text
    if notes.is_file() and (read_json(notes, ConfigError) != division or settings.read_text(encoding="utf-8") != text):
        raise ConfigError(
            f"{folder} holds another cross-validation (other images, folds, seed or settings); "
            "name another --work-dir, or remove it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(text, encoding="utf-8")
    write_json(notes, division, indent=2)


def _write_fold(
    folder: Path, number: int, config: Config, truth: dict, kept_back: list[str], start: str | None
) -> Fold:
    folder = folder.resolve()
    of_fold = copy.deepcopy(config)
    divided, tested = divided_set(of_fold), of_fold.val_dataloader.dataset
    file, tested.data_prefix = annotation_file(divided), copy.deepcopy(divided.data_prefix)
    named = data_sets([of_fold.train_dataloader, of_fold.get("custom_hooks", [])])
    trained = [each for each in named if annotation_file(each) == file]
    found = next((each.predictions for each in trained if each.get("predictions")), None)
    for sets, split, is_wanted in (
        (trained, "train", lambda name: name not in kept_back),
        ([tested], "val", lambda name: name in kept_back),
    ):
        write_annotations(folder / f"{split}.json", _images_of(truth, is_wanted))
        of_split = folder / name_of_split(tested.data_root, split) / "predictions.json"
        if found:
            write_predictions(of_split, [e for e in read_predictions(found) if is_wanted(Path(e["image"]).name)])
        for each in sets:
            each.ann_file = str(folder / f"{split}.json")
            if each.get("predictions"):
                each.predictions = str(of_split)
    for evaluator in of_fold.val_evaluator if isinstance(of_fold.val_evaluator, list) else [of_fold.val_evaluator]:
        if "ann_file" in evaluator:
            evaluator.ann_file = tested.ann_file
    of_fold.train_cfg.val_begin = of_fold.train_cfg.max_epochs + 1
    of_fold.work_dir, of_fold.load_from = str(folder / "run"), start
    file = folder / Path(config.filename).name
    file.write_text(of_fold.pretty_text.replace(FOLD_MARK, str(number)), encoding="utf-8")
    return Fold(number, file, of_fold.train_cfg.max_epochs, tuple(kept_back))


def _images_of(truth: dict, is_wanted: Callable[[str], bool]) -> dict:
    """An annotation file's contents, of some images only; ids stay."""
    images = [image for image in truth["images"] if is_wanted(image["file_name"])]
    ids = {image["id"] for image in images}
    return truth | {"images": images, "annotations": [a for a in truth["annotations"] if a["image_id"] in ids]}
