"""run.json names the weights with which a run began, however often it was interrupted."""

import json
import signal

import pytest
import torch
from toy_runs import SignalAt, toy_runner

from semsize.structures.files import file_sha256
from tio2.engine import TrainingStopped
from tio2.engine.checkpoints import resume_point


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Changes of a run that starts from another run's weights, and what its record should say of them."""
    folder = tmp_path_factory.mktemp("earlier")
    toy_runner(folder, **{"train_cfg.max_epochs": 1}).train()
    path = folder / "epoch_1.pth"
    return {"load_from": str(path)}, {"path": str(path), "sha256": file_sha256(path)}


def stop(folder, step, **changes):
    with pytest.raises(TrainingStopped):
        toy_runner(folder, [SignalAt(step, signal.SIGTERM)], **changes).train()


def resume(folder, **changes):
    """Go on to the end; what run.json then says of the start."""
    toy_runner(folder, **{"load_from": str(resume_point(folder)), "resume": True, **changes}).train()
    return json.loads((folder / "run.json").read_text())["start_weights"]


@pytest.mark.parametrize("steps", [[2], [6], [1, 2, 7]])  # in the first epoch, and later
def test_a_run_without_start_weights_has_none_after_it_was_resumed(tmp_path, steps):
    stop(tmp_path, steps[0])
    for step in steps[1:]:
        stop(tmp_path, step, load_from=str(resume_point(tmp_path)), resume=True)
    assert resume(tmp_path) is None


@pytest.mark.parametrize("step", [2, 6])
def test_start_weights_are_kept_over_a_resumption(tmp_path, earlier, step):
    changes, recorded = earlier
    stop(tmp_path, step, **changes)
    assert resume(tmp_path) == recorded


def test_the_record_of_an_earlier_run_in_the_folder_is_not_taken_for_the_run_s_own(tmp_path, earlier):
    (tmp_path / "run.json").write_text(json.dumps({"start_weights": earlier[1]}))
    stop(tmp_path, 2)
    assert resume(tmp_path) is None


def test_resumed_in_another_folder_the_start_is_still_known(tmp_path, earlier):
    changes, recorded = earlier
    stop(tmp_path / "one", 2, **changes)
    (tmp_path / "two").mkdir()
    assert resume(tmp_path / "two", load_from=str(resume_point(tmp_path / "one"))) == recorded


@pytest.mark.parametrize(("record", "start"), [({"start_weights": None}, None), (None, {})])
def test_a_checkpoint_that_does_not_tell_leaves_it_to_the_record(tmp_path, record, start):
    """As those of before; without a record the start is not known, which is not the same as none."""
    stop(tmp_path, 2)
    path = resume_point(tmp_path)
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint["meta"]["start_weights"]
    torch.save(checkpoint, path)
    (tmp_path / "run.json").unlink()
    if record is not None:
        (tmp_path / "run.json").write_text(json.dumps(record))
    assert resume(tmp_path) == start


def test_epochs_are_those_that_are_done(tmp_path):
    """Before, a run that was stopped in its third epoch had 1 by its record."""
    stop(tmp_path, 10)
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["epochs"], record["max_epochs"], record["steps"]) == (2, 3, 10)


def test_resume_without_a_checkpoint_is_a_beginning(tmp_path):
    toy_runner(tmp_path, resume=True).train()
    assert json.loads((tmp_path / "run.json").read_text())["start_weights"] is None


def test_the_largest_peak_of_a_step_is_recorded_though_the_log_begins_a_new_one(tmp_path, monkeypatch):
    peaks = iter([5.0, 40.0, *[3.0] * 100])
    monkeypatch.setattr("tio2.engine.hooks.peak_memory_mib", lambda: next(peaks))
    stop(tmp_path, 6)
    assert json.loads((tmp_path / "run.json").read_text())["peak_memory_mib"] == 40.0
    resume(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["peak_memory_mib"] == 40.0


def test_the_seconds_before_a_stop_within_an_epoch_count(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr("tio2.engine.hooks.time.monotonic", lambda: float(next(clock)))
    stop(tmp_path, 2)
    before = json.loads((tmp_path / "run.json").read_text())
    assert (before["epochs"], before["seconds"] > 0) == (0, True)
    resume(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["seconds"] > before["seconds"]
