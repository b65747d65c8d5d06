"""What a test of one split needs besides MMEngine: which images, what is written, where."""

import copy
import json
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from semsize.metrology.matching import OPERATING_SCORE
from semsize.structures.files import file_sha256, write_json
from tio2.engine.config import annotation_file, divided_set
from tio2.engine.hooks import precision_name


@dataclass(frozen=True)
class SplitFiles:
    """Where a split's images and annotations are."""

    images: Path
    annotations: Path


def split_folder(config: Config, split: str, data: str | None) -> Path:
    """Where a test's results go: ``<run>/<split>``, of another data set ``<run>/<name of its folder>-<split>``."""
    return Path(config.work_dir) / (split if data is None else f"{Path(data).resolve().name}-{split}")


def select_split(
    config: Config,
    split: str,
    folder: Path,
    dump: str | None = None,
    data: str | Path | None = None,
    min_score: float = OPERATING_SCORE,
) -> None:
    """Point the config's test at a split, particles judged too.

    Args:
        config: Changed in place.
        split: ``train``, ``val`` or ``test``.
        folder: Where the predictions go.
        dump: File of a pickle of the data samples, if one is wanted.
        data: Folder of a data set as the converters write them, to judge on instead of the config's own.
        min_score: Score from which on single particles are counted.
    """
    if split != "test":
        config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    judged = copy.deepcopy(config.test_dataloader.dataset)
    if data is not None:
        images = dict(img=f"images/{split}/")
        judged.update(data_root=f"{data}/", ann_file=f"annotations/{split}.json", data_prefix=images)
    elif split == "train":
        trained = divided_set(config)
        judged.update(data_root=trained.data_root, ann_file=trained.ann_file, data_prefix=trained.data_prefix)
    config.test_dataloader.dataset = judged
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    ann_file = str(annotation_file(judged))
    config.test_evaluator = [
        *(dict(each, ann_file=ann_file) if "ann_file" in each else each for each in evaluators),
        dict(type="ParticleMetric", ann_file=ann_file, min_score=min_score),
        dict(type="PredictionWriter", outfile=str(folder / "predictions.json")),
        *([dict(type="DumpResults", out_file_path=dump)] if dump else []),
    ]
    config.custom_hooks = [*config.get("custom_hooks", []), dict(type="SecondsPerImageHook")]


def split_files(config: Config) -> SplitFiles:
    """Images and annotations that the config's test reads."""
    dataset = config.test_dataloader.dataset
    root = Path(dataset.data_root)
    return SplitFiles(images=root / dataset.data_prefix["img"], annotations=annotation_file(dataset))


def operating_point(config: Config) -> dict[str, float]:
    """The limits that decide which predictions are kept."""
    rpn, rcnn = config.model.test_cfg.rpn, config.model.test_cfg.rcnn
    return {
        "score": rcnn.score_thr,
        "box_nms_iou": rcnn.nms.iou_threshold,
        "proposals": rpn.max_per_img,
        "instances": rcnn.max_per_img,
    }


DECIDING = (
    "test_cfg",
    "data_preprocessor",
    "rpn_head.anchor_generator",
    "rpn_head.bbox_coder",
    "roi_head.bbox_head.bbox_coder",
    "roi_head.bbox_roi_extractor.roi_layer",
    "roi_head.mask_roi_extractor.roi_layer",
)
"""Parts of a config's model that decide detections and that no weights hold."""


def detection_settings(config: Config, tile: Sequence[int] | None = None) -> dict[str, Any]:
    """Dotted name to value, in JSON's terms, of what besides weights and precision decides detections.

    These are the test pipeline between loading and packing (scales), `DECIDING` of the model (thresholds, caps, views,
    anchors), and tiles; the names of files, folders and classes of the network are not among them.

    Args:
        config: With the test pipeline that is used.
        tile: Size and overlap of tiles, px; None: whole images.
    """
    settings = {"tile": None if tile is None else list(tile)}
    pipeline = config.test_dataloader.dataset.pipeline
    settings["pipeline"] = [step for step in pipeline[1:] if step["type"] != "PackDetInputs"]
    for place in DECIDING:
        part = config.model
        for key in place.split("."):
            part = part.get(key) or {}
        settings |= {f"model.{place}{name}": value for name, value in _leaves(part)}
    return json.loads(json.dumps(settings, sort_keys=True, default=str))


def _leaves(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        yield place, node
        return
    for key, child in node.items():
        yield from _leaves(child, f"{place}.{key}")


def model_use(config: Config, checkpoint: str | Path, precision: str, tile: Sequence[int] | None = None) -> dict:
    """What a bias record is bound to (`semsize.metrology.ModelUse`), in JSON's terms.

    Args:
        config: As for `detection_settings`.
        checkpoint: File of the weights.
        precision: In which the model computes where it runs.
        tile: As for `detection_settings`.
    """
    settings = detection_settings(config, tile)
    return {"sha256": file_sha256(checkpoint), "engine": "torch", "precision": precision, "settings": settings}


@HOOKS.register_module()
class SecondsPerImageHook(Hook):
    """Seconds an image of a test takes, loading included: median and mean, in `seconds_per_image` after the run."""

    def before_test(self, runner: Runner) -> None:  # noqa: ARG002, D102
        self._seconds = []
        self._last = time.monotonic()

    def after_test_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002, D102
        now = time.monotonic()
        self._seconds.append((now - self._last) / max(len(outputs), 1))
        self._last = now

    @property
    def seconds_per_image(self) -> dict[str, float]:
        """Median and mean."""
        return {"median": statistics.median(self._seconds), "mean": statistics.fmean(self._seconds)}


def tested_record(
    runner: Runner, metrics: dict[str, float], checkpoint: str | Path, split: str, predictions: Path
) -> dict:
    """What `metrics.json` of a test holds; `predictions` is the file that the test wrote."""
    timing = next(hook for hook in runner.hooks if isinstance(hook, SecondsPerImageHook))
    precision = precision_name(runner.model)
    return {
        "config": runner.cfg.filename,
        "checkpoint": {"path": str(checkpoint), "sha256": file_sha256(checkpoint)},
        "model": model_use(runner.cfg, checkpoint, precision),
        "predictions_sha256": file_sha256(predictions),
        "split": split,
        "images": len(runner.test_dataloader.dataset),
        "precision": precision,
        "operating_point": operating_point(runner.cfg),
        "seconds_per_image": timing.seconds_per_image,
        "metrics": metrics,
    }


def write_record(folder: Path, record: Mapping) -> None:
    """Write `metrics.json`; what is undefined (NaN) becomes null, for which JSON has no other word."""
    write_json(folder / "metrics.json", _plain(record), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
