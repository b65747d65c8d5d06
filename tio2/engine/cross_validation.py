"""Cross-validation of a config: its training images in folds, each image tested with weights that never saw it.

A cross-validation's folder, ``work_dirs/<config>/cv``, holds `folds.json`, the config, and for each fold a folder with
the fold's config, its `train.json` and `val.json`, and the run; images are not copied. Neither the start weights of a
fold nor its other training data may come from the images that the fold keeps back.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config, ConfigDict

from semsize.exchange.writing import assign_folds
from semsize.structures import read_annotations, read_predictions, write_annotations, write_predictions
from semsize.structures.files import file_sha256, read_json, write_json
from semsize.structures.parts import require_same_plan
from tio2.agglomerates import AgglomerateLibrary
from tio2.agglomerates.covering import COVERED
from tio2.engine.config import FOLD_MARK, ConfigError, annotation_file, data_sets, dicts_in, divided_set
from tio2.engine.folds import Fold
from tio2.engine.launch import recorded_config
from tio2.engine.testing import name_of_split


def prepare_folds(config: Config, folds: int, seed: int) -> list[Fold]:
    """Divide the training images and write each fold's annotation files and config.

    The training set in the val set's folder is divided, wherever the config names it, together with the predictions
    for its images; other sets, for example of simulated images, are used whole. ``{fold}`` in a setting becomes the
    fold's number: data made from the training images must be made for each fold from its own. A fold is not validated
    while it trains.

    Args:
        config: As `launch.read_config` returns it; the folds go to ``<work_dir>/cv``.
        folds: Number of folds.
        seed: Seed of the division.

    Raises:
        ConfigError: There are too few images, not exactly one set to divide, another cross-validation in the folder,
            or start weights, agglomerates or covered particles that come from images that are kept back.
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
    starts = starts_of_folds(config, names)
    require_unseen_images(config, names)
    folder = Path(config.work_dir) / "cv"
    _claim(folder, config, {"seed": seed, "kept_back": names}, _files(config, starts))
    return [
        _write_fold(folder / f"fold_{number}", number, config, truth, kept_back, start)
        for number, (kept_back, start) in enumerate(zip(names, starts, strict=True))
    ]


def _files(config: Config, starts: Sequence[str | None]) -> dict[str, str]:
    """SHA-256 of the existing files that folds are made from: annotations, libraries, predictions, start weights."""
    libraries = [settings.get("library") for _, settings in dicts_in(config.train_dataloader)]
    found = [each.get("predictions") for each in data_sets(config.train_dataloader)]
    named = {str(annotation_file(divided_set(config))), *libraries, *found, *starts} - {None}
    paths = {path.replace(FOLD_MARK, str(number)) for path in named for number in range(len(starts))}
    return {path: file_sha256(path) for path in sorted(paths) if Path(path).is_file()}


def _claim(folder: Path, config: Config, division: dict, files: dict[str, str]) -> None:
    """Write the division, config and hashes of files to the folder; ConfigError if it already holds other ones."""
    notes, settings, text = folder / "folds.json", folder / Path(config.filename).name, config.pretty_text
    before, known = None, {}
    if notes.is_file():
        before = read_json(notes, ConfigError)
        known = before.pop("files", {})  # older versions wrote no hashes
        before["config"] = settings.read_text("utf-8") if settings.is_file() else None

    def refusal(_: str) -> ConfigError:
        other = "holds another cross-validation (other images, folds, seed or settings)"
        return ConfigError(f"{folder} {other}; name another --work-dir, or remove it")

    require_same_plan(before, {**division, "config": text}, refusal)
    if changed := [path for path, digest in files.items() if known.get(path, digest) != digest]:
        raise ConfigError(
            f"{folder} holds a cross-validation of another version of {changed[0]}; name another --work-dir, or "
            "remove it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(text, encoding="utf-8")
    write_json(notes, division | {"files": known | files}, indent=2)


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
    """The part of an annotation file's contents that belongs to the wanted images; ids stay."""
    images = [image for image in truth["images"] if is_wanted(image["file_name"])]
    ids = {image["id"] for image in images}
    return truth | {"images": images, "annotations": [a for a in truth["annotations"] if a["image_id"] in ids]}


def starts_of_folds(config: Config, kept_back: Sequence[Sequence[str]]) -> list[str | None]:
    """Return each fold's start weights: the config's or, if their run saw images kept back, that run's same fold's.

    Raises:
        ConfigError: That run was not cross-validated with the same folds, or weights that it started from saw them.
    """
    start = config.load_from
    if not start:
        return [start] * len(kept_back)
    divided, seen_by = divided_set(config), {}

    def seen(weights: str) -> set[str]:
        """Names of the divided set's images that were seen by the training that made the weights."""
        if weights not in seen_by:
            made_by = _training_of(weights)
            seen_by[weights] = set() if made_by is None else _seen_images(made_by, divided)
        return seen_by[weights]

    starts = []
    for number, names in enumerate(kept_back):
        own = start.replace(FOLD_MARK, str(number))
        if own == start and not seen(start).isdisjoint(names):
            own = str(_same_fold(Path(start), number, names))
        for weights in _ancestry(own):
            if not seen(weights).isdisjoint(names):
                raise ConfigError(
                    f"{own} goes back to {weights}, which has seen images that fold {number} keeps back; start from "
                    "weights that have not, or cross-validate every stage"
                )
        starts.append(start if FOLD_MARK in start else own)
    return starts


def _same_fold(start: Path, number: int, kept_back: Sequence[str]) -> Path:
    """Return the weights of a run's fold of this number; ConfigError if that fold kept other images back."""
    notes = start.parent / "cv" / "folds.json"
    others = read_json(notes, ConfigError)["kept_back"] if notes.is_file() else []
    if number >= len(others) or others[number] != list(kept_back):
        raise ConfigError(
            f"{start} has seen images that are kept back; cross-validate {_config_file(start).stem} first, with the "
            "same --folds and --seed: each fold then starts from its own weights"
        )
    return start.parent / "cv" / f"fold_{number}" / "run" / start.name


def _config_file(weights: Path) -> Path | None:
    """The config beside weights, or in the folder `cv` beside them; None if there is none."""
    folders = weights.parent, weights.parent / "cv"
    return next((file for each in folders if (file := recorded_config([each], each / "run.json"))), None)


def _training_of(weights: str) -> Config | None:
    file = _config_file(Path(weights))
    return None if file is None else Config.fromfile(file)


def _ancestry(weights: str | None) -> Iterator[str]:
    """Yield weights, the weights that their training started from, and so on, as long as the run's folder is here."""
    met = set()
    while weights and weights not in met:
        met.add(weights)
        yield weights
        record, made_by = Path(weights).parent / "run.json", _training_of(weights)
        recorded = read_json(record, ConfigError).get("start_weights", {}) if record.is_file() else {}
        if recorded is None or made_by is None:
            return
        weights = recorded.get("path") or made_by.get("load_from")


def _seen_images(other: Config, divided: ConfigDict) -> set[str]:
    """Names of the divided set's images that another config trains on."""
    return {name for each in data_sets(other.train_dataloader) for name in _shown(each, divided)}


def _shown(dataset: Mapping, divided: Mapping) -> set[str]:
    """Names of the divided set's images that a data set contains too.

    Images of one folder are compared by name, images of two folders by content, or by name if a file is missing.
    """
    file = annotation_file(dataset)
    if not file.is_file():
        return set()
    names = {image["file_name"] for image in read_annotations(file)["images"]}
    own = {image["file_name"] for image in read_annotations(annotation_file(divided))["images"]}
    if Path(dataset["data_root"]).resolve() == Path(divided["data_root"]).resolve():
        return names & own
    (there, here) = ({name: _picture(each, name) for name in of} for each, of in ((dataset, names), (divided, own)))
    shown = {name for name in names & own if not (there[name].is_file() and here[name].is_file())}
    sizes = {path.stat().st_size for path in there.values() if path.is_file()}  # hash only files of equal size
    alike = {name: path for name, path in here.items() if path.is_file() and path.stat().st_size in sizes}
    sizes = {path.stat().st_size for path in alike.values()}
    digests = {file_sha256(path) for path in there.values() if path.is_file() and path.stat().st_size in sizes}
    return shown | {name for name, path in alike.items() if file_sha256(path) in digests}


def _picture(dataset: Mapping, name: str) -> Path:
    return Path(dataset["data_root"]) / dataset.get("data_prefix", {}).get("img", "") / name


def require_unseen_images(config: Config, kept_back: Sequence[Sequence[str]]) -> None:
    """Make sure that no library of agglomerates and no other training set holds images that a fold keeps back.

    A file that each fold has of its own (``{fold}`` in its path) may be missing here; the fold's training then fails.

    Raises:
        ConfigError: A library or training set holds particles of an image that is kept back.
    """
    divided, everything = divided_set(config), [name for names in kept_back for name in names]
    libraries = {settings["library"] for _, settings in dicts_in(config.train_dataloader) if "library" in settings}
    others = {str(annotation_file(each)): each for each in data_sets(config.train_dataloader)}
    others.pop(str(annotation_file(divided)))
    for setting in sorted(libraries | others.keys()):
        for number, names in enumerate(kept_back if FOLD_MARK in setting else [everything]):
            path = Path(setting.replace(FOLD_MARK, str(number)))
            if FOLD_MARK in setting and not path.is_file():
                continue
            if setting in libraries:
                sources = {agglomerate.source for agglomerate in AgglomerateLibrary.load(path)}
            else:
                sources = {(i.get("source") or "").removeprefix(COVERED) for i in read_annotations(path)["images"]}
                sources |= _shown(_of_fold(others[setting], number), divided)
            if seen := sources & set(names):
                fold, name = min((fold, name) for fold, of in enumerate(kept_back) for name in seen.intersection(of))
                raise ConfigError(
                    f"{path} holds particles of {name}, which fold {fold} keeps back; make one for each fold from its "
                    "training images, with {fold} in the path (docs/training.md)"
                )


def _of_fold(dataset: Mapping, number: int) -> ConfigDict:
    """The settings of a data set with a fold's number in its paths."""
    paths = {name: dataset[name].replace(FOLD_MARK, str(number)) for name in ("data_root", "ann_file")}
    return ConfigDict({**dataset, **paths})
