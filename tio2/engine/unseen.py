"""Whether what a fold trains on, or starts from, has seen the images that the fold keeps back."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, ConfigDict

from semsize.structures import read_annotations
from semsize.structures.files import file_sha256, read_json
from tio2.agglomerates import AgglomerateLibrary
from tio2.agglomerates.covering import COVERED
from tio2.engine.config import FOLD_MARK, ConfigError, annotation_file, data_sets, dicts_in, divided_set
from tio2.engine.launch import recorded_config


def starts_of_folds(config: Config, kept_back: Sequence[Sequence[str]]) -> list[str | None]:
    """Weights that each fold starts from; if the run that made them saw what is kept back, that run's same fold.

    Raises:
        ConfigError: That run was not cross-validated with the same folds, or one that it started from saw the images.
    """
    start = config.load_from
    if not start:
        return [start] * len(kept_back)
    divided, seen_by = divided_set(config), {}

    def seen(weights: str) -> set[str]:
        """Names of the divided set's images that the training saw which left some weights."""
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
    """The weights of a run's own fold in place of the run's, if its cross-validation had the same folds."""
    notes = start.parent / "cv" / "folds.json"
    others = read_json(notes, ConfigError)["kept_back"] if notes.is_file() else []
    if number >= len(others) or others[number] != list(kept_back):
        raise ConfigError(
            f"{start} has seen images that are kept back; cross-validate {_config_file(start).stem} first, with the "
            "same --folds and --seed: each fold then starts from its own weights"
        )
    return start.parent / "cv" / f"fold_{number}" / "run" / start.name


def _config_file(weights: Path) -> Path | None:
    """The config that lies with weights; None where they were brought here alone."""
    places = weights.parent, weights.parent / "cv"
    return next((file for each in places if (file := recorded_config([each], each / "run.json"))), None)


def _training_of(weights: str) -> Config | None:
    file = _config_file(Path(weights))
    return None if file is None else Config.fromfile(file)


def _ancestry(weights: str | None) -> Iterator[str]:
    """Weights, those that their training started from, and so on, as far as the trainings' folders lie here."""
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
    """Names of the divided set's images that a data set shows too.

    In another folder they are told by their content; where a file is not there, by their name.
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
    sizes = {path.stat().st_size for path in there.values() if path.is_file()}
    alike = {name: path for name, path in here.items() if path.is_file() and path.stat().st_size in sizes}
    sizes = {path.stat().st_size for path in alike.values()}
    digests = {file_sha256(path) for path in there.values() if path.is_file() and path.stat().st_size in sizes}
    return shown | {name for name, path in alike.items() if file_sha256(path) in digests}


def _picture(dataset: Mapping, name: str) -> Path:
    return Path(dataset["data_root"]) / dataset.get("data_prefix", {}).get("img", "") / name


def require_unseen_images(config: Config, kept_back: Sequence[Sequence[str]]) -> None:
    """Make sure that no library of agglomerates and no other training set holds images that a fold keeps back.

    If each fold has one of its own (``{fold}`` in its path), one that does not exist yet is not an error here: the
    fold's training opens it.

    Raises:
        ConfigError: One does.
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
                    f"{path} holds particles of {name}, which fold {fold} keeps back; make one of each fold's "
                    "training images and name them with {fold} in the path (docs/training.md)"
                )


def _of_fold(dataset: Mapping, number: int) -> ConfigDict:
    """The settings of a data set with a fold's number in its paths."""
    paths = {name: dataset[name].replace(FOLD_MARK, str(number)) for name in ("data_root", "ann_file")}
    return ConfigDict({**dataset, **paths})
