"""A small config and two ablations of it are trained, tested and compared by the programs that a user types."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
import tiny_network
from mmengine.config import Config
from processes import ForkedProgram
from tested_runs import write_run
from tool_modules import tool_module

from semsize.structures.files import file_sha256
from tio2.engine import ConfigError
from tio2.engine.launch import run_config, trained_config

ROOT = Path(__file__).parents[2]
BASE_DOCSTRING = '''"""Small base (of this test): two steps.

python tools/train.py {folder}/small_base.py
"""

'''
BASE = """
data_root = "{data}/"
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(num_batches=2, batch_size=1),
    dataset=dict(dataset=dict(data_root=data_root)),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = dict(ann_file=data_root + "annotations/test.json")
param_scheduler = [dict(_base_.warm_up, end=2)]
train_cfg = dict(max_epochs=1, val_begin=9)
visualizer = dict(vis_backends=[])
"""
CLIPPING = """
_base_ = "./small_base.py"
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
"""
BOX_NMS = '''"""Box NMS at 0.3; else the base."""

_base_ = "./small_base.py"
model = dict(test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.3))))
'''
CONFIGS = ("small_base", "small_clipping", "small_box_nms")
DRIVER = """
import collections, json, runpy, sys
import faster_coco_eval
from semsize.metrology import comparison

calls = collections.Counter()

def counted(owner, name):
    function = getattr(owner, name)
    def call(*arguments, **named):
        calls[name] += 1
        return function(*arguments, **named)
    setattr(owner, name, call)

counted(comparison, "compare_image")
counted(faster_coco_eval.COCOeval_faster, "accumulate")
for words in json.loads(open(sys.argv[1]).read()):
    sys.argv = words
    calls.clear()
    runpy.run_path(words[0], run_name="__main__")
    print("CALLS", words[0], json.dumps(calls))
"""
"""Runs programs one after the other in one process, and counts what each compares and evaluates."""

tool = tool_module("compare")


@pytest.fixture(scope="module")
def compared(rendered_set, tmp_path_factory):
    """Folder of the comparison, and what the programs printed."""
    folder = tmp_path_factory.mktemp("ablations")
    few = {"rpn": {"sampler": {"num": 64}}, "rcnn": {"sampler": {"num": 32}}}
    base = tiny_network.write_config(folder / "small_base.py", BASE.format(data=rendered_set), train_cfg=few)
    base.write_text(BASE_DOCSTRING.format(folder=folder) + base.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "small_clipping.py").write_text(CLIPPING, encoding="utf-8")
    (folder / "small_box_nms.py").write_text(BOX_NMS, encoding="utf-8")
    programs = []
    for name in CONFIGS:
        run = ["--work-dir", str(folder / "runs" / name)]
        programs += [["tools/train.py", f"{folder}/{name}.py", *run], ["tools/test.py", f"{folder}/{name}.py", *run]]
    runs = [str(folder / "runs" / name) for name in CONFIGS]
    label = ["--label", f"clipped={folder}/runs/small_clipping"]
    programs.append(["tools/compare.py", *runs, "--baseline", runs[0], *label, "--out", f"{folder}/comparison"])
    driver, words, log = folder / "driver.py", folder / "programs.json", folder / "log"
    driver.write_text(DRIVER, encoding="utf-8")
    words.write_text(json.dumps(programs), encoding="utf-8")
    errors = folder / "errors"
    code = ForkedProgram([driver, words], log, errors).wait()
    assert code == 0, log.read_text() + errors.read_text()
    return folder / "comparison", log.read_text(encoding="utf-8")


def test_a_row_a_config_with_its_label_and_what_it_changes_below_the_table(compared):
    folder, printed = compared
    text = (folder / "results.md").read_text(encoding="utf-8")
    assert text in printed
    table, _, below = text.partition("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row[0] for row in rows[2:]] == ["Small base", "clipped", "Box NMS at 0.3"]
    assert rows[0][:4] == ["run", "start", "images", "seeds"]
    assert {tuple(row[1:4]) for row in rows[2:]} == {("none", "1", "1")}
    assert "max_norm" not in table
    assert "iou_threshold" not in table
    assert "\n- clipped: optim_wrapper.clip_grad.max_norm: 1.0 (5.0)\n" in below
    assert "\n- Box NMS at 0.3: model.test_cfg.rcnn.nms.iou_threshold: 0.3 (0.5)\n" in below
    assert "Differences from Small base, paired over images" in below
    assert "(n = 1, too few)" in below
    assert (folder / "results.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "differences.png").read_bytes().startswith(b"\x89PNG")
    assert "Small base" in (folder / "results.html").read_text(encoding="utf-8")


def test_the_csv_file_has_the_values_of_the_tests_unrounded(compared, rendered_set):
    folder, _ = compared
    with (folder / "results.csv").open(encoding="utf-8") as stream:
        rows = {row["run"]: row for row in csv.DictReader(stream)}
    assert rows["clipped"]["changes"] == "optim_wrapper.clip_grad.max_norm: 1.0 (5.0)"
    for name, run in zip(("Small base", "clipped", "Box NMS at 0.3"), CONFIGS, strict=True):
        record = json.loads((folder.parent / "runs" / run / "val" / "metrics.json").read_text())
        assert record["split"] == "val", "the default"
        assert record["checkpoint"]["path"].endswith(f"{run}/epoch_1.pth"), "the newest"
        assert record["annotations_sha256"] == file_sha256(rendered_set / "annotations" / "val.json")
        metrics = record["metrics"]
        assert float(rows[name]["found, %"]) == pytest.approx(metrics["particles/all_found_percent"])
        assert float(rows[name]["AP50"]) == pytest.approx(metrics["coco/segm_AP50"], abs=1e-6)
        assert float(rows[name]["parameters"]) > 1e6


def test_a_test_compares_each_image_once_and_runs_coco_s_evaluation_four_times(compared):
    calls = [json.loads(line.split(" ", 2)[2]) for line in compared[1].splitlines() if "CALLS tools/test.py" in line]
    assert calls == [{"compare_image": 1, "accumulate": 4}] * 3  # masks and boxes, at all scores and at Table 1's point


@pytest.fixture
def program(monkeypatch, tmp_path):
    """The program with these words after its name; results go to tmp_path/out."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, words), "--out", str(tmp_path / "out")])
        tool.main()
        return (tmp_path / "out" / "results.md").read_text(encoding="utf-8")

    return call


def test_a_label_names_all_seeds_of_its_row_and_an_unknown_run_is_refused(program, tmp_path):
    runs = [write_run(tmp_path / f"seed{k}", seed=k) for k in range(2)]
    text = program(*runs, "--label", f"two = seeds={runs[1]}")
    assert text.splitlines()[2].startswith("| two = seeds |")
    with pytest.raises(SystemExit, match=r"^error: --label x=none: none is none of the runs that are compared$"):
        program(*runs, "--label", "x=none")


def test_markers_are_filled_and_missing_ones_named(program, tmp_path):
    run, page = write_run(tmp_path / "run"), tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    for _ in range(2):
        text = program(run, "--fill", page)
        assert page.read_text(encoding="utf-8") == f"before\n<!-- results -->\n{text}<!-- /results -->\nafter\n"
    page.write_text("nothing")
    with pytest.raises(SystemExit, match=r"page\.md: has no <!-- results --> … <!-- /results --> to fill"):
        program(run, "--fill", page)


def test_a_cross_validation_s_own_config_comes_first(tmp_path):
    assert run_config(tmp_path, "cv") is None
    (tmp_path / "some.py").touch()
    assert run_config(tmp_path, "cv") == tmp_path / "some.py"
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "some.py").touch()
    assert run_config(tmp_path, "cv") == tmp_path / "cv" / "some.py"


def test_of_several_configs_the_recorded_one_is_taken(tmp_path):
    """Before, the one whose name sorts first."""
    for name in ("a_former", "some"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "val").mkdir()
    with pytest.raises(ConfigError, match=r"holds a_former\.py and some\.py, and .*val/metrics\.json names none"):
        run_config(tmp_path, "val")
    (tmp_path / "val" / "metrics.json").write_text('{"config": "configs/tio2/some.py"}')
    assert run_config(tmp_path, "val") == tmp_path / "some.py"
    (tmp_path / "run.json").write_text('{"config": "configs/tio2/a_former.py"}')
    assert trained_config(tmp_path, "val") == tmp_path / "a_former.py"


def test_a_test_leaves_the_training_s_config_and_its_own_settings_are_told(compared, program, tmp_path):
    """Before, it wrote its config over the training's: a test with an edited one changed what had been trained."""
    folder, _ = compared
    base, run = (shutil.copytree(folder.parent / "runs" / "small_base", tmp_path / name) for name in ("base", "run"))
    for place in (run, run / "val"):
        assert Config.fromfile(place / "small_base.py").optim_wrapper.clip_grad.max_norm == 5.0
    tested = Config.fromfile(run / "val" / "small_base.py")
    tested.merge_from_dict({"optim_wrapper.clip_grad.max_norm": 2.0, "model.test_cfg.rcnn.score_thr": 0.2})
    tested.dump(run / "val" / "small_base.py")
    text = program(base, run, "--baseline", base)
    assert "\n- Small base, run: model.test_cfg.rcnn.score_thr: 0.2 (0.0)\n" in text


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (
            '"""Masks of 28 px (ours: 56), MMDetection\'s head: smaller.\n\nMore."""',
            "Masks of 28 px, MMDetection's head",
        ),
        ('"""light_nc.py with mirror images."""', "light_nc.py with mirror images"),
        ('"""Box NMS at 0.3, instead of 0.5; else the base."""', "Box NMS at 0.3, instead of 0.5"),
        ("lr = 1", "some"),
    ],
)
def test_a_config_is_named_by_its_docstring(tmp_path, text, label):
    (tmp_path / "some.py").write_text(text, encoding="utf-8")
    assert tool.config_label(tmp_path / "some.py") == label
    assert tool.config_label("configs/tio2/elsewhere.py") == "elsewhere"


SHA = [f"{number:02d}" * 32 for number in range(10, 14)]


def started(*paths, digests=SHA):
    """What run.json records of a cross-validation whose folds start from these files; of one file a plain run."""
    weights = [{"path": path, "sha256": digest} for path, digest in zip(paths, digests, strict=False)]
    return weights if len(weights) > 1 else weights[0]


def test_weights_of_a_run_are_named_by_run_and_epoch():
    start = tool.start_weights(started("/elsewhere/work_dirs/light_rendered/epoch_20.pth"), "none")
    assert start == ("light_rendered epoch_20", (SHA[0],))
    four = started(*["work_dirs/light_rendered/epoch_20.pth"] * 4, digests=SHA[:1] * 4)
    assert tool.start_weights(four, "none") == start
    own = started(*(f"work_dirs/light_stage1/cv/fold_{k}/run/epoch_4.pth" for k in range(4)))
    assert tool.start_weights(own, "none") == ("light_stage1 epoch_4, each fold its own", tuple(SHA))
    made = started(*(f"work_dirs/simulated_{k}/epoch_3.pth" for k in range(2)))
    assert tool.start_weights(made, "none")[0] == "simulated_0 epoch_3, simulated_1 epoch_3"


def test_of_other_weights_the_file_and_its_hash_are_named():
    assert tool.start_weights(started("checkpoints/light_nc.pth"), "none")[0] == f"light_nc.pth {SHA[0][:8]}"
    assert tool.start_weights({"path": "/tmp/some.pth"}, None) == ("some.pth", ())


@pytest.mark.parametrize("recorded", [None, [None, None]])
def test_without_a_checkpoint_the_config_says_what_a_network_starts_from(recorded):
    assert tool.start_weights(recorded, "ImageNet") == ("ImageNet", ())
    assert tool.start_weights(recorded, None) == (None, ())


@pytest.mark.parametrize("recorded", [{}, [{"path": "a.pth"}, {}]])
def test_a_run_without_record_has_no_known_start(recorded):
    assert tool.start_weights(recorded, "ImageNet") == (None, ())
