"""What is read back of a run's folder is what was written, and where its weights come from is told."""

import json

import pytest
from tested_runs import write_run

from tio2.reporting import runs
from tio2.reporting.runs import FIGURES, Start, read_run, run_config, start_of


def test_what_is_read_back_gives_the_same_figures(tmp_path):
    run = read_run(write_run(tmp_path / "run"), "val")
    images = list(run.images.values())
    assert FIGURES["AP50"](images) == pytest.approx(78 / 101)  # recall 7/9: recalls 0 … 0.77
    assert FIGURES["Dice"](images) == pytest.approx(0.9)
    assert FIGURES["useful found, %"](images) == pytest.approx(100 * 7 / 9)
    assert FIGURES["ECD bias, %"](images) == pytest.approx(0)


def test_a_cross_validation_s_own_record_and_config_come_first(tmp_path):
    folder = write_run(tmp_path / "run")
    assert run_config(folder, "val") is None
    (folder / "some.py").touch()
    assert (run_config(folder, "val"), read_run(folder, "val").run["parameters"]) == (folder / "some.py", 7)
    (folder / "val" / "some.py").touch()
    (folder / "val" / "run.json").write_text(json.dumps({"parameters": 8}))
    assert (run_config(folder, "val"), read_run(folder, "val").run) == (folder / "val" / "some.py", {"parameters": 8})


SHA = [f"{number:02d}" * 32 for number in range(10, 14)]


def started(*paths, digests=SHA):
    """A cross-validation whose folds start from these files; of one file a plain run."""
    weights = [{"path": path, "sha256": digest} for path, digest in zip(paths, digests, strict=False)]
    return runs.TestedRun(None, "val", {}, {"start_weights": weights if len(weights) > 1 else weights[0]}, {})


def test_weights_of_a_run_are_named_by_run_and_epoch():
    start = start_of(started("/elsewhere/work_dirs/light_rendered/epoch_20.pth"), "none")
    assert start == Start("light_rendered epoch_20", (SHA[0],))
    four = start_of(started(*["work_dirs/light_rendered/epoch_20.pth"] * 4, digests=SHA[:1] * 4), "none")
    assert four == start
    own = start_of(started(*(f"work_dirs/light_stage1/cv/fold_{k}/run/epoch_4.pth" for k in range(4))), "none")
    assert own == Start("light_stage1 epoch_4, each fold its own", tuple(SHA))
    made = start_of(started(*(f"work_dirs/simulated_{k}/epoch_3.pth" for k in range(2))), "none")
    assert made.label == "simulated_0 epoch_3, simulated_1 epoch_3"


def test_of_other_weights_the_file_and_its_hash_are_named():
    assert start_of(started("checkpoints/light_nc.pth"), "none").label == f"light_nc.pth {SHA[0][:8]}"
    unhashed = runs.TestedRun(None, "val", {}, {"start_weights": {"path": "/tmp/some.pth"}}, {})
    assert start_of(unhashed, None) == Start("some.pth")


@pytest.mark.parametrize("recorded", [None, [None, None]])
def test_without_a_checkpoint_the_config_says_what_a_network_starts_from(recorded):
    run = runs.TestedRun(None, "val", {}, {"start_weights": recorded}, {})
    assert start_of(run, "ImageNet") == Start("ImageNet")
    assert start_of(run, None) is None


@pytest.mark.parametrize("record", [{}, {"start_weights": {}}, {"start_weights": [{"path": "a.pth"}, {}]}])
def test_a_run_without_record_has_no_known_start(record):
    assert start_of(runs.TestedRun(None, "val", {}, record, {}), "ImageNet") is None
