"""Several processes share a results folder and wait for one another."""

import json

import numpy as np
import pytest
from measured_scenes import BrightSource

from scenes import disks
from semsize.measuring import InputError, MeasurementSettings, finding, measure
from semsize.measuring.finding import Ranks, device_of, ranks_of
from semsize.measuring.inputs import find_images
from semsize.measuring.results_folder import ResultsFolder


@pytest.fixture
def scans(tmp_path):
    import cv2

    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        masks = disks((80, 90), [(20 + 10 * number, 30), (60, 60)], [9, 7])
        cv2.imwrite(str(folder / f"{number}.png"), np.where(masks.union(), 180, 60).astype(np.uint8))
    return find_images([folder], tmp_path / "out")


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_shares_are_all_images_each_once(scans, world):
    shares = [Ranks(rank, world).share(scans) for rank in range(world)]
    assert sorted(file.name for share in shares for file in share) == [file.name for file in scans]
    for rank in range(world):
        assert {*Ranks(rank, world).share(scans), *Ranks(rank, world).others(scans)} == set(scans)


def test_a_reason_of_an_earlier_start_is_not_taken_for_this_one_s(scans, tmp_path):
    """The second process has measured, the first one finds its old reason: it looks for itself."""
    out = tmp_path / "out"
    alone = measure(scans, tmp_path / "alone", BrightSource(), MeasurementSettings(min_size_px=1))
    assert measure(scans, out, BrightSource(), MeasurementSettings(min_size_px=1), ranks=Ranks(0, 1)) is not None
    folder = ResultsFolder(out)
    folder.write_failure(scans[1], "the disk was full")
    joined = measure(scans, out, BrightSource(), MeasurementSettings(min_size_px=1), ranks=Ranks(0, 2))
    assert not joined.skipped
    assert (out / "particles.csv").read_bytes() == (tmp_path / "alone" / "particles.csv").read_bytes()
    assert joined.summary.kept == alone.summary.kept > 0


def test_a_process_that_ended_is_not_waited_for_without_end(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "PATIENCE_S", 0.3)
    with pytest.raises(InputError, match=r"1 images of other processes are missing, the first is 1\.png, .* again$"):
        measure(scans, tmp_path / "out", BrightSource(), MeasurementSettings(), ranks=Ranks(0, 2))
    with pytest.raises(InputError, match=r"was not made by the first process .* again$"):
        measure(scans, tmp_path / "new", BrightSource(), MeasurementSettings(), ranks=Ranks(1, 2))
    assert json.loads((tmp_path / "out" / "parts" / "settings.json").read_text())["settings"]


def test_launchers_variables_say_which_process_this_is(monkeypatch):
    assert ranks_of("none") == Ranks(0, 1)
    with pytest.raises(InputError, match=r"--launcher slurm was given, but SLURM_PROCID and SLURM_NTASKS are not set"):
        ranks_of("slurm")
    for name, value in {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)
    assert ranks_of("slurm") == Ranks(3, 4)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert (device_of("cuda"), device_of("cpu"), device_of("cuda:0")) == ("cuda:1", "cpu", "cuda:0")
