"""What a test of one split needs besides MMEngine: which images, what is written, where."""

import math
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from tio2.engine.checkpoints import file_sha256
from tio2.engine.hooks import SecondsPerImageHook
from tio2.structures.json_files import write_json


@dataclass(frozen=True)
class SplitFiles:
    """Where a split's images and annotations are."""

    images: Path
    annotations: Path


def select_split(config: Config, split: str, folder: Path, dump: str | None = None) -> None:
    """Point the config's test at `split`, particles judged too, predictions to `folder`; `dump` names a pickle."""
    if split == "val":
        config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    ann_file = next(evaluator["ann_file"] for evaluator in evaluators if "ann_file" in evaluator)
    evaluators = [
        *evaluators,
        dict(type="ParticleMetric", ann_file=ann_file),
        dict(type="PredictionWriter", outfile=str(folder / "predictions.json")),
    ]
    if dump:
        evaluators.append(dict(type="DumpResults", out_file_path=dump))
    config.test_evaluator = evaluators
    config.custom_hooks = [*config.get("custom_hooks", []), dict(type="SecondsPerImageHook")]


def split_files(config: Config) -> SplitFiles:
    """Images and annotations that the config's test reads."""
    dataset = config.test_dataloader.dataset
    root = Path(dataset.data_root)
    return SplitFiles(images=root / dataset.data_prefix["img"], annotations=root / dataset.ann_file)


def operating_point(config: Config) -> dict[str, float]:
    """The limits that decide which predictions are kept."""
    rpn, rcnn = config.model.test_cfg.rpn, config.model.test_cfg.rcnn
    return {
        "score": rcnn.score_thr,
        "box_nms_iou": rcnn.nms.iou_threshold,
        "proposals": rpn.max_per_img,
        "instances": rcnn.max_per_img,
    }


def write_metrics(runner: Runner, metrics: dict[str, float], split: str, checkpoint: str | Path, folder: Path) -> dict:
    """Write and return the record of a test: `metrics.json` in `folder`."""
    timing = next(hook for hook in runner.hooks if isinstance(hook, SecondsPerImageHook))
    record = {
        "config": runner.cfg.filename,
        "checkpoint": {"path": str(checkpoint), "sha256": file_sha256(checkpoint)},
        "split": split,
        "images": len(runner.test_dataloader.dataset),
        "operating_point": operating_point(runner.cfg),
        "seconds_per_image": timing.seconds_per_image,
        "metrics": {name: _json_number(value) for name, value in metrics.items()},
    }
    write_json(folder / "metrics.json", record, indent=2)
    return record


def _json_number(value: float) -> float | None:
    """The figure, or None where it is undefined (NaN), for which JSON has no other word."""
    return None if math.isnan(value) else float(value)
