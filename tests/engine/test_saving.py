"""A checkpoint is whole or absent, and a failed write leaves the last good one."""

import collections
import contextlib
import os
import resource
import shutil

import pytest
from toy_runs import toy_runner

from tio2.engine import CheckpointError, load_checkpoint, resumption
from tio2.engine.checkpoints import write_checkpoint

Usage = collections.namedtuple("Usage", "total used free")


@contextlib.contextmanager
def no_file_beyond(length):
    """Let the system refuse longer files, in bytes, in the middle of a write, as a full disk does.

    Not a fixture: between a test's body and its fixtures' end pytest prints, and its output may be a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_refused_write_leaves_the_old_file_and_says_what_is_kept(tmp_path):
    write_checkpoint(tmp_path / "epoch_1.pth", b"old")
    write_checkpoint(tmp_path / "epoch_2.pth", b"older")
    refused = pytest.raises(
        CheckpointError, match=r"epoch_1\.pth could not be written.*--resume \(epoch_2\.pth is kept"
    )
    with refused, no_file_beyond(1000):
        write_checkpoint(tmp_path / "epoch_1.pth", bytes(5000))
    assert (tmp_path / "epoch_1.pth").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["epoch_1.pth", "epoch_2.pth"]


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1])
    write_checkpoint(tmp_path / "new" / "epoch_1.pth", b"data")
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder
    assert (tmp_path / "new" / "epoch_1.pth").read_bytes() == b"data"


def test_a_disk_that_fills_in_the_second_epoch_keeps_the_first(tmp_path, monkeypatch):
    real = resumption.write_checkpoint

    def full(path, data):
        if "epoch_2" in str(path):
            monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        real(path, data)

    monkeypatch.setattr(resumption, "write_checkpoint", full)
    runner = toy_runner(tmp_path, **{"default_hooks.checkpoint.max_keep_ckpts": 1})
    with pytest.raises(
        CheckpointError, match=r"epoch_2\.pth could not be written \(No space left.*epoch_1\.pth is kept"
    ):
        runner.train()
    assert load_checkpoint(tmp_path / "epoch_1.pth")["meta"]["epoch"] == 1
    assert not (tmp_path / "epoch_2.pth").exists()


@pytest.mark.parametrize("kept", [1, 2])
def test_the_newest_are_kept(tmp_path, kept):
    (tmp_path / "epoch_1_step_6.pth").touch()  # of an interrupted epoch, and overtaken
    toy_runner(tmp_path, **{"default_hooks.checkpoint.max_keep_ckpts": kept}).train()
    assert sorted(path.name for path in tmp_path.glob("epoch_*")) == ["epoch_2.pth", "epoch_3.pth"][-kept:]


def test_a_run_does_not_begin_without_room_for_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 70, 30))
    with pytest.raises(CheckpointError, match=r"0\.0 MiB free, and a checkpoint takes about .*--work-dir"):
        toy_runner(tmp_path).train()  # 6 weights and 6 momenta of 4 bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 52, 48))
    toy_runner(tmp_path).train()


def test_what_a_killed_write_left_is_cleared(tmp_path):
    (tmp_path / ".epoch_9.pth.123.part").write_bytes(b"half a checkp")
    toy_runner(tmp_path).train()
    assert not list(tmp_path.glob(".*"))
