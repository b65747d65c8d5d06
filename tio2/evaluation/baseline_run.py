"""The run folder of a method without training steps, so that its row stands beside the detectors'."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from semsize.metrology import compare_split, figures_of_merit
from semsize.sem.reading import read_grey
from semsize.structures.annotations import read_annotations
from semsize.structures.json_files import write_json
from semsize.structures.predictions import prediction_record, write_predictions
from tio2.baselines import SearchResult, contrast_scores, segment
from tio2.evaluation.coco_figures import coco_figures
from tio2.reporting import draw_split, write_report


def write_baseline(folder: Path, name: str, data: Path, split: str, found: SearchResult) -> None:
    """Finds particles in a split with the best set of a search and writes what training and testing write.

    Every particle found counts from score 0 on: the score, the contrast across the outline, ranks them and no more.

    Args:
        folder: the run's folder, ``work_dirs/<name>``.
        name: of the method.
        data: folder with ``annotations/`` and ``images/``.
        split: which images.
        found: the search.
    """
    truth = read_annotations(data / "annotations" / f"{split}.json")
    images = data / "images" / split
    predictions, seconds = [], []
    for image in truth["images"]:
        began = time.perf_counter()
        predictions += _predictions(image, images, found)
        seconds.append(time.perf_counter() - began)
    write_predictions(folder / split / "predictions.json", predictions)
    record = {
        "config": name,
        "split": split,
        "images": len(truth["images"]),
        "operating_point": {"score": 0.0},
        "seconds_per_image": {"median": sorted(seconds)[len(seconds) // 2], "mean": sum(seconds) / len(seconds)},
        "metrics": _metrics(truth, predictions),
    }
    write_json(folder / split / "metrics.json", record)
    parameters = asdict(found.best.parameters)
    write_json(folder / "run.json", {"config": name, "seconds": found.seconds, "sets": found.sets, "best": parameters})
    write_report(folder / split, truth, predictions, record, min_score=0.0)
    draw_split(truth, predictions, lambda file: read_grey(images / file), folder / split / "overlays", min_score=0.0)


def _predictions(image: Mapping, images: Path, found: SearchResult) -> list[dict]:
    grey = read_grey(images / image["file_name"])
    masks = segment(grey, found.best.parameters)
    rows = zip(masks.boxes, contrast_scores(grey, masks), masks.to_rles(), strict=True)
    return [prediction_record(image["id"], image["file_name"], box, float(score), rle) for box, score, rle in rows]


def _metrics(truth: Mapping, predictions: list[dict]) -> dict[str, float | None]:
    metrics = {f"coco/{name}": value for name, value in coco_figures(truth, predictions).items()}
    figures = figures_of_merit(compare_split(truth, predictions, min_score=0.0))
    metrics |= {f"particles/{name}": value for name, value in figures.items()}
    return {name: None if value != value else float(value) for name, value in metrics.items()}
