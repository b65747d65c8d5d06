"""What a test of one split needs besides MMEngine: which images, what is written, where."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from tio2.engine.checkpoints import file_sha256
from tio2.engine.data_sets import annotation_file, divided_set
from tio2.engine.hooks import SecondsPerImageHook
from tio2.structures.json_files import write_json


@dataclass(frozen=True)
class SplitFiles:
    """Where a split's images and annotations are."""

    images: Path
    annotations: Path


def split_folder(config: Config, split: str, data: str | None) -> Path:
    """Where a test's results go: ``<run>/<split>``, of another data set ``<run>/<name of its folder>-<split>``."""
    return Path(config.work_dir) / (split if data is None else f"{Path(data).resolve().name}-{split}")


def select_split(
    config: Config, split: str, folder: Path, dump: str | None = None, data: str | Path | None = None
) -> None:
    """Point the config's test at a split, particles judged too.

    Args:
        config: Changed in place.
        split: ``train``, ``val`` or ``test``.
        folder: Where the predictions go.
        dump: File of a pickle of the data samples, if one is wanted.
        data: Folder of a data set as the converters write them, to judge on instead of the config's own.
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
        dict(type="ParticleMetric", ann_file=ann_file),
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


def tested_record(runner: Runner, metrics: dict[str, float], checkpoint: str | Path, split: str) -> dict:
    """What `metrics.json` of a test holds."""
    timing = next(hook for hook in runner.hooks if isinstance(hook, SecondsPerImageHook))
    return {
        "config": runner.cfg.filename,
        "checkpoint": {"path": str(checkpoint), "sha256": file_sha256(checkpoint)},
        "split": split,
        "images": len(runner.test_dataloader.dataset),
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
