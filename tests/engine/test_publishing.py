import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tio2.engine import CheckpointError, load_checkpoint, publish_checkpoint


def write(path, **contents):
    torch.save(contents, path)
    return path


def test_weights_are_halved_and_nothing_else_is_kept(tmp_path):
    weight = torch.linspace(-3, 3, 1000)
    source = write(
        tmp_path / "run.pth",
        state_dict={"weight": weight, "steps": torch.tensor(7)},
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
