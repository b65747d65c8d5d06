"""Folders of tested runs with squares as particles, for tests that compare runs."""

import json
from pathlib import Path

import numpy as np

from scenes import coco_found, coco_truth, shifted, square_grid
from semsize.metrology import compare_split, particle_metrics
from tio2.reporting import run_comparison
from tio2.reporting.report import write_csvs
from tio2.reporting.run_comparison import Recipe


def scene(images, missed=2):
    """Squares: the first `missed` are not found, the others a pixel further right."""
    truths = [square_grid(9, side_px=10) for _ in range(images)]
    found = [shifted(masks[missed:], 0, 1) for masks in truths]
    truth = coco_truth(truths)
    for annotation in truth["annotations"]:
        annotation["state"] = "complete"
    predictions = coco_found(found, [np.linspace(0.9, 0.6, len(masks)) for masks in found])
    return truth, predictions


def write_run(folder, images=3, missed=2, seed=0, config="configs/tio2/some.py", first=0):
    """Write the folder of a run that was tested on val."""
    truth, predictions = scene(images, missed)
    for image in truth["images"]:
        image["file_name"] = f"{first + image['id']}.png"
    compared = compare_split(truth, predictions)
    metrics = particle_metrics(compared)
    record = {
        "config": config,
        "split": "val",
        "operating_point": {"score": 0.05},
        "seconds_per_image": {"median": 2.0},
        "metrics": {f"particles/{name}": None if np.isnan(value) else value for name, value in metrics.items()},
    }
    (folder / "val").mkdir(parents=True)
    (folder / "val" / "metrics.json").write_text(json.dumps(record))
    (folder / "run.json").write_text(json.dumps({"parameters": 7, "seconds": 120.0, "seed": seed}))
    write_csvs(folder / "val", compared)
    return folder


def rows_of(runs, recipes=None):
    """Rows of tested runs; those without a recipe have the label of their config alone."""
    plain = {run.folder: Recipe(Path(run.metrics["config"]).stem) for run in runs}
    return run_comparison.rows_of(runs, plain | (recipes or {}))


def value(row, metric):
    """The mean of a metric over the row's seeds."""
    return row.seed_values(metric).mean()
