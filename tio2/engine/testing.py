"""Choose the split and the model of a test, measure its seconds per image, and collect its `metrics.json`."""

import copy
import statistics
import time
from dataclasses import replace
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from semsize.detecting import onnx
from semsize.detecting.archive import read_archive
from semsize.detecting.models import SHIPPED
from semsize.metrology import BiasRecordError, ModelUse
from semsize.metrology.matching import OPERATING_SCORE
from semsize.structures.files import file_sha256
from semsize.visibility.prediction import Calibration
from semsize.visibility.record import VisibilityRecordError, nearest_record, read_visibility_records, record_path
from tio2.engine.config import (
    ConfigError,
    annotation_file,
    detection_settings,
    divided_set,
    is_detector,
    operating_point,
)
from tio2.engine.launch import recorded_config

BOX_SETTINGS = (
    "model.rpn_head.anchor_generator.",
    "model.rpn_head.bbox_coder.",
    "model.roi_head.bbox_head.bbox_coder.",
)
"""Beginnings of `detection_settings` for which weights are trained; weights for other values have the same shapes."""


def split_folder(config: Config, split: str, data: str | None) -> Path:
    """Folder of a test's results: ``<run>/<split>``, or for another data set ``<run>/<name_of_split>``."""
    return Path(config.work_dir) / (split if data is None else name_of_split(data, split))


def require_trained_boxes(config: Config, checkpoint: Path) -> None:
    """Make sure that a detector has the anchors and box coders that its weights were trained with.

    They are known for weights that ship, and for those in the folder of a run.

    Raises:
        ConfigError: They are others.
    """
    shipped = (model.config for model in SHIPPED.values() if model.checkpoint.resolve() == checkpoint.resolve())
    trained = next(shipped, None) or recorded_config([checkpoint.parent], checkpoint.parent / "run.json")
    if trained is None or not is_detector(config):
        return
    here, there = detection_settings(config), detection_settings(Config.fromfile(trained))
    for name in sorted(here.keys() | there.keys()):
        if name.startswith(BOX_SETTINGS) and here.get(name) != there.get(name):
            raise ConfigError(
                f"{checkpoint}: was trained with other {name} than {config.filename} has; test with {trained}"
            )


def name_of_split(data: str | Path, split: str) -> str:
    """Name of the results folder, within a run, of a test on another data set: ``<name of its folder>-<split>``."""
    return f"{Path(data).resolve().name}-{split}"


def select_split(
    config: Config,
    split: str,
    folder: Path,
    dump: str | None = None,
    data: str | Path | None = None,
    min_score: float = OPERATING_SCORE,
) -> None:
    """Let the config's test read a split, and a detector's test also compare single particles and write predictions.

    The config is changed in place. A visibility model judges the outlines that the detector's run found in that data
    set and split: ``<run>/<name of the set's folder>-<split>/predictions.json``, from a test with `data`.

    Args:
        config: As `launch.read_config` returns it.
        split: ``train``, ``val`` or ``test``.
        folder: Folder for the predictions.
        dump: File for a pickle of the data samples; None: no pickle.
        data: Folder of a data set as the converters write them, to test on instead of the config's own.
        min_score: Single particles with a lower score are not counted.
    """
    if split != "test":
        config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    tested = copy.deepcopy(config.test_dataloader.dataset)
    if data is not None:
        images = dict(img=f"images/{split}/")
        tested.update(data_root=f"{data}/", ann_file=f"annotations/{split}.json", data_prefix=images)
    elif split == "train":
        trained = divided_set(config)
        tested.update(data_root=trained.data_root, ann_file=trained.ann_file, data_prefix=trained.data_prefix)
    if tested.get("predictions"):
        found = Path(tested.predictions)
        tested.predictions = str(found.parents[1] / name_of_split(tested.data_root, split) / found.name)
    config.test_dataloader.dataset = tested
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    ann_file = str(annotation_file(tested))
    config.test_evaluator = [
        *(dict(evaluator, ann_file=ann_file) if "ann_file" in evaluator else evaluator for evaluator in evaluators),
        *(_of_detections(ann_file, folder, min_score) if is_detector(config) else ()),
        *([dict(type="DumpResults", out_file_path=dump)] if dump else []),
    ]
    config.custom_hooks = [*config.get("custom_hooks", []), dict(type="SecondsPerImageHook")]


def _of_detections(ann_file: str, folder: Path, min_score: float) -> list[dict]:
    return [
        dict(type="ParticleMetric", ann_file=ann_file, min_score=min_score),
        dict(type="PredictionWriter", outfile=str(folder / "predictions.json")),
    ]


def split_files(config: Config) -> tuple[Path, Path]:
    """Image folder and annotation file that the config's test reads."""
    dataset = config.test_dataloader.dataset
    return Path(dataset.data_root) / dataset.data_prefix["img"], annotation_file(dataset)


@HOOKS.register_module()
class SecondsPerImageHook(Hook):
    """Measures the seconds that a test takes per image, loading included; read `seconds_per_image` after the run."""

    def before_test(self, runner: Runner) -> None:  # noqa: ARG002, D102
        self._seconds = []
        self._last = time.monotonic()

    def after_test_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002, D102
        now = time.monotonic()
        self._seconds.append((now - self._last) / max(len(outputs), 1))
        self._last = now

    @property
    def seconds_per_image(self) -> dict[str, float]:
        """Median and mean seconds per image."""
        return {"median": statistics.median(self._seconds), "mean": statistics.fmean(self._seconds)}


def look_with_archive(runner: Runner, path: Path) -> ModelUse:
    """Let a test find particles with a model archive on ONNX Runtime, and return the use of that model.

    Raises:
        ArchiveError: The file is no model archive.
        ConfigError: The archive is of another config, or onnxruntime is not installed.
    """
    card = (archive := read_archive(path)).card
    there = ModelUse(card.weights_sha256, onnx.ENGINE, card.precision, card.settings)
    here = replace(there, settings=detection_settings(runner.cfg))
    if differences := here.differences(there):
        reasons = "; ".join(differences).replace("validated", "in the archive")
        raise ConfigError(f"{path} does not fit {runner.cfg.filename}: {reasons}; export it again")
    try:
        runner.model.find = onnx.OnnxEngine(archive)
    except ImportError as cause:
        raise ConfigError(f"{path}: {cause}; pip install onnxruntime") from None
    return here


def record_calibration(config: Config, checkpoint: Path, use: ModelUse) -> Calibration:
    """Return the calibration that a measurement would use, from the record beside the weights that holds for this use.

    Args:
        config: The config of a visibility model's test, after `select_split`.
        checkpoint: The file of the weights.
        use: The model and how it is used.

    Raises:
        ConfigError: No record holds for this use, or the config is a detector's.
    """
    if is_detector(config):
        raise ConfigError(f"{config.filename}: --calibrated is for visibility models, and this config is a detector's")
    outlines, detector = config.test_dataloader.dataset, None
    try:
        if outlines.get("predictions"):
            detector = ModelUse.behind(Path(outlines.predictions))
        records = read_visibility_records(checkpoint)
    except (BiasRecordError, VisibilityRecordError) as cause:
        raise ConfigError(str(cause)) from None
    here = use.sha256, use.engine, use.precision, detector, outlines.get("min_score", OPERATING_SCORE)
    nearest = nearest_record(records, *here)
    if nearest is None:
        raise ConfigError(f"{record_path(checkpoint)} is missing; make it with tools/validate.py --visibility")
    if differences := nearest.differences(*here):
        raise ConfigError(f"{record_path(checkpoint)} does not hold for this test: {'; '.join(differences)}")
    return nearest.calibration()


def tested_record(
    runner: Runner, metrics: dict[str, float], checkpoint: Path, use: ModelUse, split: str, predictions: Path | None
) -> dict:
    """The contents of `metrics.json` of a test.

    Args:
        runner: The runner, after its test.
        metrics: The metrics of the test.
        checkpoint: The file of the weights, or the archive.
        use: The model and how it was used.
        split: Name of the results folder.
        predictions: File that a detector wrote, or whose outlines a visibility model judged; None: annotated outlines.
    """
    work_dir = Path(runner.cfg.work_dir)
    own = work_dir / "run.json" if checkpoint.resolve().parent == work_dir.resolve() else None
    timing = next(hook for hook in runner.hooks if isinstance(hook, SecondsPerImageHook))
    return {
        "config": runner.cfg.filename,
        "checkpoint": {"path": str(checkpoint), "sha256": file_sha256(checkpoint)},
        "model": use.to_json(),
        "run_sha256": file_sha256(own) if own and own.is_file() else None,  # of the training that made the weights
        "annotations_sha256": file_sha256(split_files(runner.cfg)[1]),
        "predictions_sha256": None if predictions is None else file_sha256(predictions),
        "split": split,
        "images": len(runner.test_dataloader.dataset),
        "precision": use.precision,
        "operating_point": operating_point(runner.cfg) if is_detector(runner.cfg) else None,
        "seconds_per_image": timing.seconds_per_image,
        "metrics": metrics,
    }
