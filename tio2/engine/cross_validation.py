"""Cross-validation of a config: its training images in folds, each image tested with weights that never saw it.

A cross-validation's folder, ``work_dirs/<config>/cv``, holds `folds.json`, the config, and for each fold a folder with
the fold's config, its `train.json` and `val.json`, and the run; images are not copied.
"""

import copy
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config

from semsize.exchange.writing import assign_folds
from semsize.structures import read_annotations, read_predictions, write_annotations
from semsize.structures.files import file_sha256, read_json, write_json
from tio2.agglomerates import AgglomerateLibrary
from tio2.engine.checkpoints import resume_point
from tio2.engine.config import (
    FOLD_MARK,
    ConfigError,
    annotation_file,
    data_sets,
    dicts_in,
    divided_set,
    operating_point,
)
from tio2.engine.resumption import STOP_SIGNALS, TrainingStopped


@dataclass(frozen=True)
class Fold:
    """One of the trainings."""

    number: int  # from 0
    config: Path  # its config file, beside which its annotation files and the folder of its run stand
    epochs: int  # that the training takes
    kept_back: tuple[str, ...]  # names of the images that it is tested on

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.config.parent / "run"

    @property
    def record(self) -> dict:
        """Contents of the run's `run.json`; empty before its first epoch has ended."""
        file = self.run / "run.json"
        return read_json(file, ConfigError) if file.is_file() else {}

    @property
    def tested(self) -> dict:
        """Contents of `metrics.json` of the images kept back; empty before the test."""
        file = self.run / "val" / "metrics.json"
        return read_json(file, ConfigError) if file.is_file() else {}

    @property
    def is_trained(self) -> bool:
        """Whether the run has all its epochs."""
        return self.record.get("epochs", 0) >= self.epochs

    @property
    def is_tested(self) -> bool:
        """Whether the images kept back were tested, and with the run's newest checkpoint if one is left."""
        if not self.tested:
            return False
        newest = resume_point(self.run)
        return newest is None or self.tested["checkpoint"]["sha256"] == file_sha256(newest)


def prepare_folds(config: Config, folds: int, seed: int) -> list[Fold]:
    """Divide the training images and write each fold's annotation files and config.

    The training set in the folder of the val set is divided; other sets, of simulated images for example, are trained
    on whole. ``{fold}`` in a setting becomes the fold's number: what is made from the training images must be made
    from each fold's. Nothing is validated while a fold trains.

    Args:
        config: As `launch.read_config` returns it; the folds go to ``<work_dir>/cv``.
        folds: How many.
        seed: Of the division.

    Raises:
        ConfigError: There are too few images, no set to divide or several, another cross-validation stands in the
            folder, or start weights or a library of agglomerates come from images that are kept back.
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
    _require_unseen_libraries(config, names)
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


def _require_unseen_libraries(config: Config, kept_back: Sequence[Sequence[str]]) -> None:
    """Make sure that no agglomerate library of the training holds what a fold keeps back.

    If each fold has a library of its own (``{fold}`` in its path), one that does not exist yet is not an error here:
    the fold's training opens it.
    """
    for setting in {settings["library"] for _, settings in dicts_in(config.train_dataloader) if "library" in settings}:
        for number, names in enumerate(kept_back):
            path = Path(setting.replace(FOLD_MARK, str(number)))
            if FOLD_MARK in setting and not path.is_file():
                continue
            seen = {agglomerate.source for agglomerate in AgglomerateLibrary.load(path)} & set(names)
            if seen:
                raise ConfigError(
                    f"{path} holds agglomerates of {min(seen)}, which fold {number} keeps back; build a library of "
                    "each fold and name them with {fold} in the path (docs/training.md)"
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
    write_annotations(folder / "train.json", _images_of(truth, lambda name: name not in kept_back))
    write_annotations(folder / "val.json", _images_of(truth, lambda name: name in kept_back))
    of_fold = copy.deepcopy(config)
    divided, tested = divided_set(of_fold), of_fold.val_dataloader.dataset
    tested.data_prefix = copy.deepcopy(divided.data_prefix)
    divided.ann_file, tested.ann_file = str((folder / "train.json").resolve()), str((folder / "val.json").resolve())
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


def run_fold(fold: Fold, programs: Path) -> None:
    """Train a fold, or go on with it, then test it, each in a process of its own; what is done is left alone.

    Args:
        fold: From `prepare_folds`.
        programs: Folder of train.py and test.py.

    Raises:
        ConfigError: A process failed.
        TrainingStopped: A signal ended a process; a training's state is saved.
    """
    if not fold.is_trained:
        _run([sys.executable, str(programs / "train.py"), str(fold.config), "--resume"], fold)
        if not fold.is_trained:
            raise TrainingStopped(
                f"fold {fold.number} was stopped after {fold.record.get('epochs', 0)} of {fold.epochs} epochs; "
                "the same command goes on"
            )
    if not fold.is_tested:
        _run([sys.executable, str(programs / "test.py"), str(fold.config)], fold)


def _run(words: list[str], fold: Fold) -> None:
    """Run a program to its end; signals that ask to stop are handed on to it."""
    program = subprocess.Popen(words)
    before = {number: signal.signal(number, lambda got, _: program.send_signal(got)) for number in STOP_SIGNALS}
    try:
        code = program.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    what = f"fold {fold.number}: {' '.join(words[1:])}"
    for number in STOP_SIGNALS:
        if code in (-number, 128 + number):
            raise TrainingStopped(f"{what} was stopped by {number.name}; the same command goes on", number)
    if code:
        raise ConfigError(f"{what} ended with code {code}; its messages above say why")


def pooled_predictions(folds: list[Fold]) -> list[dict]:
    """The predictions of all folds, each fold's in the images that it kept back."""
    return [found for fold in folds for found in read_predictions(fold.run / "val" / "predictions.json")]


def pooled_record(config: Config, folds: list[Fold], metrics: dict[str, float]) -> dict:
    """What `metrics.json` of the whole holds; `run.json` is written.

    The seconds of a training are the mean over folds and the peak memory the largest; the seconds an image are the
    mean over all images, and the median of the folds' medians.

    Args:
        config: As it was given to `prepare_folds`.
        folds: All of them, tested.
        metrics: Pooled over all images.
    """
    folder = folds[0].config.parents[1]
    runs, tests = [fold.record for fold in folds], [fold.tested for fold in folds]
    whole = {
        "config": config.filename,
        "folds": len(folds),
        "seconds": float(np.mean([run["seconds"] for run in runs])),
        "peak_memory_mib": max(run["peak_memory_mib"] for run in runs),
        "start_weights": [run["start_weights"] for run in runs],
    }
    write_json(folder / "run.json", runs[0] | whole, indent=2)
    counts, seconds = [test["images"] for test in tests], [test["seconds_per_image"] for test in tests]
    return {
        "config": config.filename,
        "checkpoint": [test["checkpoint"] for test in tests],
        "split": folder.name,
        "images": sum(counts),
        "operating_point": operating_point(config),
        "seconds_per_image": {
            "median": float(np.median([each["median"] for each in seconds])),
            "mean": float(np.average([each["mean"] for each in seconds], weights=counts)),
        },
        "metrics": metrics,
    }
