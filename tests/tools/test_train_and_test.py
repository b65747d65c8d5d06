"""Both stages and a test on small rendered scenes, by the programs that a user types."""

import json
import pickle
import subprocess
import sys

import cv2
import pytest
import tiny_network
from processes import ROOT

NO_DATA = "train_dataloader.dataset.dataset.data_root=none/"
SMALL = [  # the demo's configs, sized for seconds
    "train_cfg.max_epochs=1",
    "train_cfg.val_interval=1",
    "train_dataloader.sampler.num_batches=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "val_dataloader.num_workers=0",
    "val_dataloader.persistent_workers=False",
    "test_dataloader.num_workers=0",
    "test_dataloader.persistent_workers=False",
    "model.train_cfg.rcnn.sampler.num=32",
    "model.test_cfg.rcnn.max_per_img=40",
    "default_hooks.logger.interval=1",
    *tiny_network.options(tiny_network.HEADS),
]


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs a program; `ok`: whether it must end without an error."""

    def program(name, *words, ok=True):
        done = run_tool(name, *words)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    return program


def options(data):
    """What points a config at a data set in `data`."""
    return [
        *SMALL,
        f"train_dataloader.dataset.dataset.data_root={data}/",
        f"val_dataloader.dataset.data_root={data}/",
        f"test_dataloader.dataset.data_root={data}/",
        f"val_evaluator.ann_file={data}/annotations/val.json",
        f"test_evaluator.ann_file={data}/annotations/test.json",
    ]


@pytest.fixture(scope="module")
def stages(run, rendered_set, tmp_path_factory):
    """Folders of a trained stage 1 and of the stage 2 that started from it."""
    work = tmp_path_factory.mktemp("work")
    one, two = work / "stage1", work / "stage2"
    done = run("train.py", "configs/demo/demo_stage1.py", "--work-dir", one, "--cfg-options", *options(rendered_set))
    (one / "console.txt").write_text(done.stdout)
    start = [f"load_from={one}/epoch_1.pth"]
    run(
        "train.py",
        "configs/demo/demo_stage2.py",
        "--work-dir",
        two,
        "--cfg-options",
        *options(rendered_set),
        *start,
    )
    return one, two


def test_training_leaves_its_record(stages):
    one, two = (json.loads((folder / "run.json").read_text()) for folder in stages)
    assert one["config"].endswith("configs/demo/demo_stage1.py")
    assert (one["epochs"], one["steps"], one["start_weights"]) == (1, 2, None)
    assert one["seconds"] > 0
    assert one["peak_memory_mib"] > 100
    assert one["parameters_trained"] < one["parameters"] == two["parameters"] == two["parameters_trained"]
    assert two["start_weights"]["path"].endswith("stage1/epoch_1.pth")
    assert len(two["start_weights"]["sha256"]) == 64
    assert two["versions"]["onedl-mmdetection"] == "3.5.1"
    for folder in stages:
        assert list(folder.rglob("events.out.tfevents*")), "TensorBoard's curves"
        assert (folder / "epoch_1.pth").stat().st_size > 1e6


def test_the_console_begins_with_what_is_done_and_the_log_file_has_everything(rendered_set, stages):
    console = (stages[0] / "console.txt").read_text()
    (log,) = stages[0].glob("*/*.log")
    begins = [
        "training configs/demo/demo_stage1.py",
        f"  data    {rendered_set}/annotations/train.json: 1 images, ",
        f"  data    {rendered_set}/annotations/val.json: 1 images, ",
        "  weights ImageNet",
        "  steps   1 epochs of 2 steps of 2 images",
        "  device  c",
        f"  log     {log}",
        f"  folder  {stages[0]}",
    ]
    lines = console.splitlines()
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=False)] == begins
    assert len(lines) < 30, console
    dumps = ["System environment:", "Hooks will be executed", "train_dataloader=dict(", "FileClient"]
    assert not [dump for dump in dumps if dump in console.replace(" = ", "=")]
    assert [dump for dump in dumps if dump in log.read_text().replace(" = ", "=")] == dumps
    assert "Epoch(train)" in console


def test_resume_goes_on_and_ends(run, rendered_set, stages):
    two = stages[1]
    longer = [*options(rendered_set), "train_cfg.max_epochs=2"]
    done = run("train.py", "configs/demo/demo_stage2.py", "--work-dir", two, "--resume", "--cfg-options", *longer)
    record = json.loads((two / "run.json").read_text())
    assert (record["epochs"], record["steps"]) == (2, 4)
    assert record["start_weights"]["path"].endswith("stage1/epoch_1.pth"), "the start is not forgotten"
    assert "Epoch(train) [1]" not in done.stdout


def test_testing_leaves_metrics_predictions_and_pictures(run, rendered_set, stages):
    two = stages[1]
    dump, pictures = two / "samples.pkl", two / "pictures"
    done = run(
        "test.py", "configs/demo/demo_stage2.py", "--work-dir", two, "--split", "test",
        "--out", dump, "--show-dir", pictures, "--cfg-options", *options(rendered_set),
    )  # fmt: skip
    record = json.loads((two / "test" / "metrics.json").read_text())
    assert record["images"] == 1
    assert record["operating_point"] == {"score": 0.05, "box_nms_iou": 0.5, "proposals": 4000, "instances": 40}
    assert 0 <= record["metrics"]["coco/segm_AP50"] <= 1
    assert record["seconds_per_image"]["median"] > 0

    predictions = json.loads((two / "test" / "predictions.json").read_text())
    assert all(p["segmentation"]["size"] == [128, 160] for p in predictions)
    assert len(pickle.loads(dump.read_bytes())) == 1

    assert 0 <= record["metrics"]["particles/all_found_percent"] <= 100
    assert {path.name for path in (two / "test").iterdir()} >= {"particles.csv", "figures", "report.md", "images.csv"}
    assert "## Overlap of the matched particles (Table 4)" in (two / "test" / "report.md").read_text(encoding="utf-8")

    [picture] = pictures.glob("*.png")
    assert cv2.imread(str(picture)).shape[2] == 3
    assert done.stdout.startswith(
        f"testing configs/demo/demo_stage2.py\n  data    {rendered_set}/annotations/test.json: 1 im"
    )
    assert "AP50" in done.stdout
    assert "OneDL" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.py", "configs/tio2/none.py"], "config configs/tio2/none.py does not exist"),
        (["train.py", "configs/demo/demo_stage1.py", "--cfg-options", NO_DATA],
         "none/annotations/train.json does not exist"),
        (["test.py", "configs/demo/demo_stage1.py", "--work-dir", "none"], "no epoch_*.pth in none"),
        (["test.py", "configs/demo/demo_stage1.py", "none.pth"], "checkpoint none.pth does not exist"),
    ],
)  # fmt: skip
def test_errors_are_one_line(run, words, message):
    done = run(*words, ok=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in done.stderr


def test_stage2_without_stage1_names_the_command(run, rendered_set):
    missing = ["load_from=none/demo_stage1/epoch_2.pth"]
    done = run("train.py", "configs/demo/demo_stage2.py", "--cfg-options", *options(rendered_set), *missing, ok=False)
    assert "make it with: python tools/train.py configs/demo/demo_stage1.py" in done.stderr


@pytest.mark.parametrize("tool", ["train.py", "test.py"])
def test_help_is_quick_and_has_an_example(tool):
    words = [sys.executable, "-X", "importtime", f"tools/{tool}", "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"python tools/{tool} configs/" in done.stdout
    assert "torch" not in {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
