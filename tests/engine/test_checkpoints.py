"""Checkpoints hold data without code, are written whole, found and published."""

import functools
import http.server
import os
import pathlib
import pickle
import runpy
import sys
import threading
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.runner.checkpoint import load_checkpoint as mmengine_load

from semsize.structures.files import file_sha256
from tio2.engine import CheckpointError, load_checkpoint, newest_checkpoint
from tio2.engine import checkpoints as module
from tio2.engine.checkpoints import publish_checkpoint


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"weight": torch.eye(3)}, "meta": {"epoch": 2}}, path)
    return path


@pytest.fixture
def server(tmp_path):
    """A file server on loopback over tmp_path; yields its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's hub folder, empty."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder


class Runs:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path(self.path),))


def test_round_trip(weights):
    loaded = load_checkpoint(weights)
    assert torch.equal(loaded["state_dict"]["weight"], torch.eye(3))
    assert loaded["meta"] == {"epoch": 2}


@pytest.mark.parametrize("load", [load_checkpoint, CheckpointLoader.load_checkpoint])
def test_code_is_refused_and_not_run(tmp_path, load):
    evil = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "meta": Runs(tmp_path / "ran")}, evil)
    with pytest.raises(CheckpointError, match=r"evil\.pth.*not loaded"):
        load(str(evil))
    assert not (tmp_path / "ran").exists()


def test_plain_pickle_is_refused(tmp_path):
    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    with pytest.raises(CheckpointError):
        load_checkpoint(evil)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_cut_short_is_named(weights, kept):
    data = weights.read_bytes()
    weights.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(CheckpointError, match=r"weights\.pth is damaged"):
        load_checkpoint(weights)


def test_missing_names_the_command_that_makes_it(tmp_path, monkeypatch):
    (tmp_path / "configs" / "tio2").mkdir(parents=True)
    (tmp_path / "configs" / "tio2" / "light_stage1.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"tools/train\.py configs/tio2/light_stage1\.py"):
        load_checkpoint("work_dirs/light_stage1/epoch_6.pth")
    with pytest.raises(CheckpointError, match=r"no epoch_\*\.pth in .*light_stage1; make it with"):
        newest_checkpoint("work_dirs/light_stage1")
    with pytest.raises(CheckpointError, match=r"other\.pth does not exist$"):
        load_checkpoint("other.pth")


def test_mmengine_loads_through_it(weights):
    model = torch.nn.Linear(3, 3, bias=False)
    mmengine_load(model, str(weights))
    assert torch.equal(model.weight, torch.eye(3))


def test_download_once_with_the_name_s_checksum(weights, server, hub):
    named = weights.with_name(f"model-{file_sha256(weights)[:8]}.pth")
    weights.rename(named)
    assert load_checkpoint(f"{server}/{named.name}")["meta"] == {"epoch": 2}
    named.unlink()  # a second call does not ask the server
    assert load_checkpoint(f"{server}/{named.name}")["meta"] == {"epoch": 2}
    assert os.listdir(hub / "checkpoints") == [named.name]


def test_wrong_checksum_leaves_nothing(weights, server, hub):
    wrong = weights.rename(weights.with_name("model-00000000.pth"))
    with pytest.raises(CheckpointError, match="could not download"):
        load_checkpoint(f"{server}/{wrong.name}")
    assert os.listdir(hub / "checkpoints") == []


@pytest.mark.usefixtures("hub")
def test_not_found_and_no_network(server):
    with pytest.raises(CheckpointError, match=r"could not download .*404.*load_from=/path/to/none\.pth"):
        load_checkpoint(f"{server}/none.pth")
    with pytest.raises(CheckpointError, match="could not download"):
        load_checkpoint("http://127.0.0.1:1/none.pth")


def test_sha256_is_hashlib_s(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert module.find_checkpoint(tmp_path / "abc") == tmp_path / "abc"


def write(path, **contents):
    torch.save(contents, path)
    return path


def test_weights_are_halved_and_nothing_else_is_kept(tmp_path):
    weight = torch.linspace(-3, 3, 1000)
    source = write(
        tmp_path / "run.pth",
        state_dict={"weight": weight, "steps": torch.tensor(7), "threshold": torch.tensor(0.98, dtype=torch.float64)},
        meta={"epoch": 2, "iter": 9, "cfg": "a config"},
        optimizer={"momentum": torch.zeros(100_000)},
    )
    publish_checkpoint(source, tmp_path / "out" / "light.pth")
    shipped = load_checkpoint(tmp_path / "out" / "light.pth")
    assert set(shipped) == {"state_dict", "meta"}
    assert shipped["meta"] == {"epoch": 2, "iter": 9}
    assert shipped["state_dict"]["weight"].dtype == torch.half
    torch.testing.assert_close(shipped["state_dict"]["weight"].float(), weight, rtol=2**-11, atol=1e-7)
    assert shipped["state_dict"]["steps"].item() == 7
    assert shipped["state_dict"]["threshold"].item() == 0.98
    assert (tmp_path / "out" / "light.pth").stat().st_size < source.stat().st_size / 10


def test_of_a_run_s_folder_the_newest_is_published(tmp_path, monkeypatch, capsys):
    run, out = tmp_path / "run", tmp_path / "light.pth"
    run.mkdir()
    for epoch in (2, 1):  # the second run in the folder has come as far as epoch 1
        state = {"optimizer": {}, "message_hub": {}, "meta": {"epoch": epoch, "iter": 0}, "state_dict": {}}
        os.utime(write(run / f"epoch_{epoch}.pth", **state), ns=(0, 10**9 * (3 - epoch)))
    monkeypatch.setattr(sys, "argv", ["publish.py", str(run), str(out)])
    runpy.run_path(str(Path(__file__).parents[2] / "tools" / "publish.py"), run_name="__main__")
    assert load_checkpoint(out)["meta"]["epoch"] == 1
    assert f"{out} from {run / 'epoch_1.pth'}" in capsys.readouterr().out


def test_what_cannot_be_shipped_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="weight has a value that half precision cannot hold"):
        publish_checkpoint(write(tmp_path / "a.pth", state_dict={"weight": torch.tensor([1e6])}), tmp_path / "out.pth")
    with pytest.raises(CheckpointError, match=r"b\.pth holds no state_dict"):
        publish_checkpoint(write(tmp_path / "b.pth", weights={}), tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
