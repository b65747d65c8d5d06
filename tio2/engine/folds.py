"""Train and test the folds of a cross-validation, and pool their predictions, samples and records."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config

from semsize.structures import read_predictions
from semsize.structures.files import file_sha256, read_json, write_json
from tio2.engine.checkpoints import resume_point
from tio2.engine.config import ConfigError, annotation_file, divided_set, is_detector, operating_point
from tio2.engine.resumption import STOP_SIGNALS, TrainingStopped


@dataclass(frozen=True)
class Fold:
    """A training of a cross-validation."""

    number: int  # from 0
    config: Path  # the config file; the annotation files and the run's folder lie beside it
    epochs: int  # of the whole training
    kept_back: tuple[str, ...]  # names of the images that the fold is tested on

    @property
    def run(self) -> Path:
        """Folder of the fold's run."""
        return self.config.parent / "run"

    @property
    def record(self) -> dict:
        """Contents of the run's `run.json`; empty before its first epoch has ended."""
        file = self.run / "run.json"
        return read_json(file, ConfigError) if file.is_file() else {}

    @property
    def tested(self) -> dict:
        """Contents of `metrics.json` from the test on the images kept back; empty before the test."""
        file = self.run / "val" / "metrics.json"
        return read_json(file, ConfigError) if file.is_file() else {}

    @property
    def is_trained(self) -> bool:
        """Whether the run has finished all its epochs."""
        return self.record.get("epochs", 0) >= self.epochs

    @property
    def is_tested(self) -> bool:
        """Whether the images kept back were tested, with the run's newest checkpoint if the run still has any."""
        if not self.tested:
            return False
        newest = resume_point(self.run)
        return newest is None or self.tested["checkpoint"]["sha256"] == file_sha256(newest)


def train_fold(fold: Fold, programs: Path) -> None:
    """Start or resume a fold's training in a process of its own, unless the fold is trained.

    Args:
        fold: From `prepare_folds`.
        programs: Folder of train.py.

    Raises:
        ConfigError: The process failed.
        TrainingStopped: A signal stopped the training, whose state is saved.
    """
    if not fold.is_trained:
        _run([sys.executable, str(programs / "train.py"), str(fold.config), "--resume"], fold)
        if not fold.is_trained:
            raise TrainingStopped(
                f"fold {fold.number} was stopped after {fold.record.get('epochs', 0)} of {fold.epochs} epochs; "
                "the same command goes on"
            )


def test_fold(fold: Fold, programs: Path) -> None:
    """Test a detector's fold in a process of its own, unless the fold is tested.

    Args:
        fold: A trained fold.
        programs: Folder of test.py.

    Raises:
        ConfigError: The process failed.
        TrainingStopped: A signal stopped the test.
    """
    if not fold.is_tested:
        _run([sys.executable, str(programs / "test.py"), str(fold.config)], fold)


def _run(words: list[str], fold: Fold) -> None:
    """Run a program to its end, and pass `STOP_SIGNALS` on to it."""
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
    """The predictions of all folds, of each fold for the images that it kept back."""
    return [found for fold in folds for found in read_predictions(fold.run / "val" / "predictions.json")]


def judged_samples(folds: list[Fold], programs: Path, outlines: str) -> Iterator[list[dict]]:
    """Test each fold of a visibility model on `found` or `annotated` outlines kept back, and yield its data samples.

    Only the test on found outlines writes the `metrics.json` that `Fold.tested` reads.

    Raises:
        ConfigError: A test failed, or a fold has no checkpoint left to test.
    """
    for fold in folds:
        if (checkpoint := resume_point(fold.run)) is None:
            raise ConfigError(f"{fold.run}: no checkpoint is left to test; delete this folder to train the fold anew")
        dump = fold.config.parent / f"{outlines}.pkl"
        words = ["--split", "val", "--out", str(dump)]
        if outlines == "annotated":
            words += [
                "--work-dir",
                str(dump.with_suffix("")),
                "--cfg-options",
                "val_dataloader.dataset.predictions=None",
            ]
        _run([sys.executable, str(programs / "test.py"), str(fold.config), str(checkpoint), *words], fold)
        yield pickle.loads(dump.read_bytes())


def pooled_record(config: Config, folds: list[Fold], metrics: dict[str, float]) -> dict:
    """Return the contents of `metrics.json` of the whole cross-validation, and write its `run.json`.

    The seconds of the training are the mean over folds, the peak memory is the largest. The seconds per image are the
    mean over all images, and the median of the folds' medians.

    Args:
        config: The config that `prepare_folds` divided.
        folds: All folds, tested.
        metrics: Metrics pooled over all images.
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
        "precision": tests[0]["precision"],
        "checkpoint": [test["checkpoint"] for test in tests],
        "run_sha256": file_sha256(folder / "run.json"),
        "annotations_sha256": file_sha256(annotation_file(divided_set(config))),
        "split": folder.name,
        "images": sum(counts),
        "operating_point": operating_point(config) if is_detector(config) else None,
        "seconds_per_image": {
            "median": float(np.median([each["median"] for each in seconds])),
            "mean": float(np.average([each["mean"] for each in seconds], weights=counts)),
        },
        "metrics": metrics,
    }
