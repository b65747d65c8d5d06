"""tools/measure.py as a user calls it: the files that it writes, its messages on bad input, its exit codes."""

import csv
import json
import os
import pickle
import re
import resource
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import tiny_network
import torch
from measured_scenes import SHAPE, scene, write_scenes, write_zeiss
from PIL import Image
from processes import ROOT, environment, finish_ranks

TOOL = ROOT / "tools" / "measure.py"
pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def measure(monkeypatch, capsys):
    """Runs the tool in this process; gives (exit code, what it printed, its error line)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tools/measure.py", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(TOOL), run_name="__main__")
        out = capsys.readouterr().out
        code = ended.value.code
        return (1, out, code) if isinstance(code, str) else (code, out, "")

    return run


def labels_of(folder: Path, *names: str) -> Path:
    """Label images of scenes 0, 1 …, under the images' names."""
    folder.mkdir()
    for number, name in enumerate(names):
        labels = cv2.connectedComponents((scene(number) > 128).astype(np.uint8), connectivity=4)[1]
        cv2.imwrite(str(folder / f"{Path(name).stem}.png"), labels.astype(np.uint16))
    return folder


@pytest.fixture
def scans(tmp_path):
    """Two good images with their label images."""
    write_scenes(tmp_path / "in", 2)
    return tmp_path / "in", labels_of(tmp_path / "labels", "scan 0.tif", "scan 1.tif")


def test_help_is_quick_and_has_an_example():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", TOOL, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "python tools/measure.py scans/*.tif --out results" in done.stdout
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "numpy"}


def test_label_images_among_the_files_are_said_and_not_measured(measure, tmp_path):
    write_scenes(tmp_path / "in", 2)
    labels_of(tmp_path / "in" / "labels", "scan 0.tif", "scan 1.tif")
    code, out, error = measure(tmp_path / "in", "--out", tmp_path / "out", "--from-labels", tmp_path / "in" / "labels")
    assert (code, error) == (0, "")
    assert "2 of 4 files given are label images, not pictures to measure" in out


def test_it_measures_and_says_what(measure, scans, tmp_path):
    images, labels = scans
    code, out, _ = measure(
        images, "--out", tmp_path / "out", "--from-labels", labels, "--calibration-uncertainty", "0.8%", "--xlsx"
    )
    assert code == 0
    assert "visible outlines of all detected particles: 8 of 12 detected, in 2 images" in out
    assert re.search(r"D50 = [\d.]+ nm, U = [\d.]+ nm \(k = [\d.]+\)", out)
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"particles.csv", "particles.xlsx", "predictions.json", "record.json", "report.html", "overlays",
                    "parts"}  # fmt: skip
    record = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))
    assert record["command"][1].endswith("tools/measure.py")
    assert record["settings"]["calibration_std"] == pytest.approx(0.008)
    assert not list((tmp_path / "out").rglob("*.part"))


def test_not_one_drawn_outline_is_no_success(measure, tmp_path):
    for folder in ("scans", "labels"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros(SHAPE, np.uint8))
    code, out, _ = measure(tmp_path / "scans", "--from-labels", tmp_path / "labels", "--out", tmp_path / "out")
    assert code == 3
    assert "NO OUTLINE IS LEFT TO MEASURE" in out


def truncated(path):
    write_zeiss(path, scene(0))
    path.write_bytes(path.read_bytes()[:5000])


BAD = {
    "truncated.tif": truncated,
    "empty.tif": lambda path: path.write_bytes(b""),
    "text.tif": lambda path: path.write_text("no image"),
    "pages.tif": lambda path: tifffile.imwrite(path, np.zeros((3, 40, 40), np.uint8), photometric="minisblack"),
    "cmyk.jpg": lambda path: Image.new("CMYK", (40, 40)).save(path),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_file_is_named_and_the_others_measured(measure, scans, tmp_path, name):
    images, labels = scans
    BAD[name](images / name)
    code, out, _ = measure(images, "--out", tmp_path / "out", "--from-labels", labels)
    assert code == 3
    (line,) = [line for line in out.splitlines() if line.startswith("LEFT OUT: ")]
    assert line.startswith(f"LEFT OUT: {name}: ")
    assert "in 2 images" in out
    (images / name).unlink()
    code, out, _ = measure(images, "--out", tmp_path / "out", "--from-labels", labels)
    assert (code, "LEFT OUT" in out) == (0, False)


def one_pixel(path):
    write_zeiss(path, np.full((1, 1), 255, np.uint8))


def sixteen_bits(path):
    write_zeiss(path, scene(0).astype(np.uint16) * 3 + 100)


def four_channels(path):
    cv2.imwrite(str(path), cv2.cvtColor(scene(0), cv2.COLOR_GRAY2BGRA))


ODD = {
    "one.tif": one_pixel,
    "black.tif": lambda path: write_zeiss(path, np.zeros(SHAPE, np.uint8)),
    "sixteen.tif": sixteen_bits,
    "rgba.png": four_channels,
    "Grüße µm [1].tif": lambda path: write_zeiss(path, scene(0)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_measured(measure, tmp_path, name):
    (tmp_path / "in").mkdir()
    ODD[name](tmp_path / "in" / name)
    labels = labels_of(tmp_path / "labels", name)
    if name == "one.tif":
        cv2.imwrite(str(labels / "one.png"), np.ones((1, 1), np.uint8))
    code, out, error = measure(
        tmp_path / "in" / name, "--out", tmp_path / "out", "--from-labels", labels, "--pixel-size", "5nm"
    )
    assert code == 0, error
    count = "0 of 1" if name == "one.tif" else "4 of 6"
    assert f"{count} detected, in 1 images" in out


WRONG = {
    "nothing is there": (["none.tif"], "none.tif: no such file or folder"),
    "no images in a folder": (["empty"], "holds no images"),
    "per cent without its sign": (["in", "--calibration-uncertainty", "0.8"], "give per cent with the sign"),
    "pixel size without a unit": (["in", "--pixel-size", "7.3"], "--pixel-size: "),
    "two places for outlines": (["in", "--from-labels", "labels", "--from-coco", "x.json"], "one source"),
    "a model and outlines": (["in", "--from-labels", "labels", "--model", "nc"], "one source"),
    "weights without config": (["in", "--checkpoint", "x.pth"], "--config and --checkpoint belong together"),
    "a model that there is not": (["in", "--model", "perfect"], "no model 'perfect' ships"),
    "an overlap of nothing": (["in", "--overlap", "20"], "--overlap needs --tile"),
    "tiles within tiles": (["in", "--tile", "100", "--overlap", "100"], "cannot share 100 px"),
    "more than half of a tile is shared": (["in", "--tile", "512", "--overlap", "300"], "overlap of 0 to 254 px"),
    "tiles that are none": (["in", "--tile", "-5"], "take larger tiles"),
    "scales that are none": (["in", "--scales", "1,x"], "--scales 1,x: give numbers above 0"),
    "a scale of nothing": (["in", "--scales", "0,1.5"], "give numbers above 0 and up to 8"),
    "scales twice": (["in", "--scales", "1.5", "--diameter", "25px"], "--scales and --diameter both say"),
    "a diameter without a unit": (["in", "--diameter", "25"], "--diameter: diameter '25' is no number with a unit"),
    "scales of drawn outlines": (["in", "--from-labels", "labels", "--scales", "auto"], "leave out --scales"),
    "annotations that are none": (["in", "--from-coco", "in/scan 0.tif"], "not a JSON file"),
    "no processes": (["in", "--jobs", "0", "--from-labels", "labels"], "--jobs and --batch-size are 1 or more"),
    "a launcher that did not start it": (["in", "--launcher", "pytorch"], "start with python -m torch.distributed.run"),
    "a GPU that is not there": (["in", "--model", "nc", "--device", "cuda"], "no GPU that torch can use"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_ends_with_one_line(measure, scans, tmp_path, monkeypatch, case):  # noqa: ARG001 - scans are files
    words, message = WRONG[case]
    if "GPU" in case and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty").mkdir()
    code, _, error = measure(*words, "--out", tmp_path / "out")
    assert code == 1
    assert message in error
    assert error.startswith("error: ")
    assert "\n" not in error


def test_a_file_in_the_place_of_the_folder_and_a_folder_of_others(measure, scans, tmp_path):
    images, labels = scans
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for out, message in (("file", "a file stands in the way"), ("file/deep", "a file stands in the way"),
                         ("full", "holds files that are no measurement's")):  # fmt: skip
        code, _, error = measure(images, "--out", tmp_path / out, "--from-labels", labels)
        assert code == 1
        assert message in error
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_must_not_be_written(measure, scans, tmp_path):
    images, labels = scans
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, error = measure(images, "--out", tmp_path / "locked" / "out", "--from-labels", labels)
    assert code == 1
    assert "cannot be made (Permission denied)" in error


def test_a_full_disk_ends_with_one_line_and_nothing_half_written(measure, scans, tmp_path):
    images, labels = scans
    words = [images, "--out", tmp_path / "out", "--from-labels", labels]
    done = subprocess.run(
        [sys.executable, TOOL, *words], env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").rglob("*.part"))
    for path in (tmp_path / "out").rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    assert not (tmp_path / "out" / "report.html").exists()
    code, _, error = measure(*words)
    assert code == 0, error
    assert (tmp_path / "out" / "report.html").exists()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A config of a small network with random weights, its checkpoint, and two that are wrong."""
    folder = tmp_path_factory.mktemp("network")
    model = tiny_network.build(tiny_network.write_config(folder / "small.py"))
    model.roi_head.mask_head.conv_logits.bias.data.fill_(3.0)  # masks fill their boxes
    tiny_network.save(model, folder / "right.pth")
    torch.save({"state_dict": {"backbone.conv.weight": torch.zeros(3)}, "meta": {}}, folder / "wrong.pth")
    (folder / "code.pth").write_bytes(pickle.dumps({"state_dict": {}, "meta": Path}))
    return folder


@pytest.mark.parametrize(
    ("weights", "message"),
    [("wrong.pth", "does not fit"), ("code.pth", "is damaged or"), ("none.pth", "none.pth does not exist")],
)
def test_weights_that_cannot_be_used_are_named(measure, scans, network, tmp_path, weights, message):
    images, _ = scans
    words = ["--config", network / "small.py", "--checkpoint", network / weights]
    code, _, error = measure(images, "--out", tmp_path / "out", *words)
    assert code == 1
    assert message in error
    assert "\n" not in error


def test_a_network_measures_whole_images_and_tiles(measure, scans, network, tmp_path):
    images, _ = scans
    words = [images, "--config", network / "small.py", "--checkpoint", network / "right.pth", "--score", "0"]
    code, out, error = measure(*words, "--out", tmp_path / "whole")
    assert code == 0, error
    assert f"model: {network}/right.pth" in out
    with (tmp_path / "whole" / "particles.csv").open() as stream:
        assert 0 < len(list(csv.DictReader(stream))) <= 50
    code, _, error = measure(*words, "--out", tmp_path / "tiles", "--tile", "96", "--overlap", "32")
    assert code == 0, error
    record = json.loads((tmp_path / "tiles" / "record.json").read_text(encoding="utf-8"))
    assert record["outlines"]["tile"] == [96, 32]
    assert re.fullmatch("[0-9a-f]{64}", record["outlines"]["config_sha256"])
    assert "torch" in record["versions"]
    assert record["outlines"]["scales"] == [1.5]
    assert {tuple(image["scales"]) for image in record["images"]} == {(1.5,)}
    code, _, error = measure(*words, "--out", tmp_path / "chosen", "--diameter", "30px")
    assert code == 0, error
    record = json.loads((tmp_path / "chosen" / "record.json").read_text(encoding="utf-8"))
    assert (record["outlines"]["scales"], record["outlines"]["diameter"]) == ("auto", "30px")
    assert {tuple(image["scales"]) for image in record["images"]} == {(0.75, 1.5)}
    assert "boxes reach the limit model.test_cfg.rcnn.max_per_img" in str(record["warnings"])
    assert ">scales<" in (tmp_path / "chosen" / "report.html").read_text(encoding="utf-8")


def test_two_ranks_measure_as_one_process(measure, scans, tmp_path):
    images, labels = scans
    code, _, error = measure(images, "--out", tmp_path / "one", "--from-labels", labels)
    assert code == 0, error
    finish_ranks([TOOL, images, "--out", tmp_path / "two", "--from-labels", labels], tmp_path / "log")
    for name in ("particles.csv", "predictions.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = (json.loads((tmp_path / each / "record.json").read_text()) for each in ("one", "two"))
    assert one["results"] == two["results"]
    assert (one["processes"], two["processes"]) == (1, 2)
