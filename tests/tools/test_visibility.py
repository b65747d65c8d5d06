"""The visibility model is trained and tested by the programs that train and test the detector."""

import json
from dataclasses import asdict, replace

import pytest
from mmengine.config import Config

from semsize.metrology import ModelUse
from semsize.structures import prediction_entry, read_annotations, write_predictions
from semsize.structures.files import file_sha256
from semsize.visibility.record import read_visibility_records, write_visibility_records

CONFIG = "configs/tio2/visibility_free.py"
DETECTOR = ModelUse("d" * 64, "torch", "float32", {"scales": [1.0]})
SPLITS = ("train", "val", "test")
SMALL = [
    "train_cfg.max_epochs=1",
    "train_cfg.val_interval=1",
    "train_dataloader.sampler.num_batches=2",
    *(f"{name}_dataloader.num_workers=0" for name in SPLITS),
    *(f"{name}_dataloader.persistent_workers=False" for name in SPLITS),
    "default_hooks.logger.interval=1",
]


@pytest.fixture(scope="module")
def found(rendered_set, tmp_path_factory):
    """A detector's folder, which found the particles as they are annotated."""
    folder = tmp_path_factory.mktemp("detector")
    for split in SPLITS:
        truth = read_annotations(rendered_set / "annotations" / f"{split}.json")
        names = {image["id"]: image["file_name"] for image in truth["images"]}
        records = []
        for particle in truth["annotations"]:
            x, y, width, height = particle["bbox"]
            box, number = (x, y, x + width, y + height), particle["image_id"]
            records.append(prediction_entry(number, names[number], box, 0.9, particle["segmentation"]))
        (folder / f"{rendered_set.name}-{split}").mkdir()
        file = folder / f"{rendered_set.name}-{split}" / "predictions.json"
        write_predictions(file, records)
        tested = {"model": asdict(DETECTOR), "predictions_sha256": file_sha256(file)}
        file.with_name("metrics.json").write_text(json.dumps(tested))
    return folder


@pytest.fixture(scope="module")
def options(rendered_set, found):
    words = list(SMALL)
    for number, settings in enumerate(Config.fromfile(CONFIG).train_dataloader.dataset.dataset.datasets):
        place = f"train_dataloader.dataset.dataset.datasets.{number}"
        words.append(f"{place}.data_root={rendered_set}/")
        if settings.predictions:
            words.append(f"{place}.predictions={found}/{rendered_set.name}-train/predictions.json")
    for name in ("val", "test"):
        words.append(f"{name}_dataloader.dataset.data_root={rendered_set}/")
        words.append(f"{name}_dataloader.dataset.predictions={found}/{rendered_set.name}-{name}/predictions.json")
    return words


def test_it_is_trained_and_its_test_leaves_tables(run_tool, options, rendered_set, tmp_path):
    work = ["--work-dir", tmp_path]
    trained = run_tool("train.py", CONFIG, *work, "--cfg-options", *options)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "weights random" in trained.stdout
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["steps"], record["start_weights"]) == (2, None)

    tested = run_tool("test.py", CONFIG, *work, "--data", rendered_set, "--split", "val", "--cfg-options", *options)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    folder = tmp_path / f"{rendered_set.name}-val"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["metrics"]["visibility/outlines"] == metrics["metrics"]["visibility/states"] > 0
    assert metrics["predictions_sha256"]
    assert metrics["images"] == 1
    report = (folder / "visibility.md").read_text()
    for heading in (
        "## States",
        "## Particle or not",
        "## Fully imaged particles",
        "## By predicted visible fraction",
        "## Whole sizes and their intervals, by true visible fraction",
        "convex hull",
    ):
        assert heading in report
    assert report in tested.stdout

    words = [
        "--work-dir",
        tmp_path,
        "--data",
        rendered_set,
        "--split",
        "val",
        "--calibrated",
        "--cfg-options",
        *options,
    ]
    refused = run_tool("test.py", CONFIG, *words)
    assert refused.returncode == 1
    assert "epoch_1.record.json is missing" in refused.stderr.splitlines()[-1]
    [shipped, *_] = read_visibility_records("checkpoints/visibility_free.pth")
    use = {name: metrics["model"][name] for name in ("sha256", "engine", "precision")}
    write_visibility_records(tmp_path / "epoch_1.pth", [replace(shipped, **use, detector=DETECTOR)])
    calibrated = run_tool("test.py", CONFIG, *words)
    assert calibrated.returncode == 0, calibrated.stdout + calibrated.stderr
    assert "Calibrated by the record" in (folder.with_name(f"{folder.name}-calibrated") / "visibility.md").read_text()
    assert (folder / "visibility.md").read_text() == report


def test_predictions_that_are_missing_are_named_in_one_line(run_tool, options, tmp_path):
    words = [*options, "train_dataloader.dataset.dataset.datasets.0.predictions=none/predictions.json"]
    done = run_tool("train.py", CONFIG, "--work-dir", tmp_path, "--cfg-options", *words)
    assert done.returncode == 1
    assert "none/predictions.json does not exist; tools/test.py of the detector writes it" in done.stderr
    assert "Traceback" not in done.stderr
