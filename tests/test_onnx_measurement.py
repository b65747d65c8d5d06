"""Models exported to archives measure the same as on torch, without torch, also as on Windows."""

import csv
import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_network
from mmengine.config import Config

from semsize.detecting.archive import read_archive, write_archive
from semsize.detecting.looking import Looking, look
from semsize.detecting.models import SHIPPED, ShippedModel
from semsize.measuring.archived_model import ArchivedModel
from semsize.measuring.engines import find_detector
from semsize.measuring.inputs import OPERATING_SCORE, DetectorRequest
from semsize.measuring.overlays import write_png
from semsize.metrology import BiasRecord, ModelUse
from semsize.metrology.bias_record import CoveredRanges, write_bias_records
from semsize.programs.measure import main
from semsize.sem import read_grey
from semsize.structures import read_predictions
from semsize.structures.masks import CroppedMasks
from semsize.structures.overlap import overlaps
from semsize.synthesis.rendering import RenderSettings, render_image
from tio2.exporting import QUANTISED, RecordingEngine, archive_of, quantised, widened
from tio2.models.onnx_graphs import halved

ROOT = Path(__file__).parents[1]
SEEING = ROOT / "configs" / "tio2" / "visibility_free.py"
SHAPE = (96, 128)
SCENE = RenderSettings(seed=0, shape=SHAPE, preset="agglomerated", particles=12)
pytestmark = pytest.mark.usefixtures("no_figures")
PREDICTED = ["--states", "predicted"]
TEST = {
    "scales": [1.5],
    "flips": ["horizontal"],
    "rpn": {"nms_pre": 200, "max_per_img": 60},
    "rcnn": {"score_thr": 0.05, "max_per_img": 40, "refine_boxes": True, "mask_scores": True},
}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Folder of small networks of random weights: configs, checkpoints, archives; and a rendered scene."""
    folder = tmp_path_factory.mktemp("network")
    config = tiny_network.write_config(folder / "small.py", precision="float32", test_cfg=TEST)
    model = tiny_network.build(config)
    for layer in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls, model.roi_head.mask_head.conv_logits):
        layer.weight.data *= 4  # so that outputs are far enough apart for an order of theirs
    model.roi_head.mask_head.conv_logits.bias.data += 0.3
    model.roi_head.bbox_head.fc_cls.bias.data[0] += 0.5
    for weights in model.parameters():  # as a checkpoint that ships has them
        weights.data = weights.data.half().float()
    checkpoint = tiny_network.save(model, folder / "small.pth")
    write_archive(folder / "small.semsize", archive_of(Config.fromfile(config), checkpoint, "for tests"))
    seen_config = folder / "seen.py"
    seen_config.write_text(f"_base_ = {str(SEEING)!r}\nmodel = {{'precision': 'float32'}}\n", encoding="utf-8")
    seen = tiny_network.save(tiny_network.build(seen_config), folder / "seen.pth")
    write_archive(folder / "seen.semsize", archive_of(Config.fromfile(seen_config), seen, "for tests"))
    scene = render_image(SCENE, 0)
    (folder / "scans").mkdir()
    write_png(folder / "scans" / "scene.png", scene.pixels)
    return folder


def measured(network, out, *words):
    """Record, table and masks of a measurement by the program."""
    with pytest.raises(SystemExit) as ended:
        main([str(network / "scans"), "--out", str(out), "--score", "0.05", "--pixel-size", "5nm", *map(str, words)])
    assert ended.value.code == 0
    record = json.loads((out / "record.json").read_text(encoding="utf-8"))
    with (out / "particles.csv").open(encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    rles = [prediction["segmentation"] for prediction in read_predictions(out / "predictions.json")]
    return record, table, CroppedMasks.from_rles(rles, SHAPE)


def test_both_engines_measure_the_same(network, tmp_path, capsys):
    own = ["--config", network / "small.py", "--checkpoint", network / "small.pth"]
    record, table, masks = measured(network, tmp_path / "torch", *own)
    other, found, found_masks = measured(network, tmp_path / "onnx", "--model", network / "small.semsize")
    assert "computed by onnx in float32" in capsys.readouterr().out
    assert "<td>onnx, float32</td>" in (tmp_path / "onnx" / "report.html").read_text(encoding="utf-8")
    assert len(table) == len(found) > 5
    meeting = overlaps(found_masks, masks)
    union = found_masks.areas[meeting.first] + masks.areas[meeting.second] - meeting.intersection_px
    is_same = meeting.intersection_px >= 0.98 * union
    assert len(np.unique(meeting.first[is_same])) >= 0.99 * len(masks)
    for name in ("score", "ecd_nm", "x_px", "y_px"):
        values = [np.sort([float(row[name]) for row in rows]) for rows in (table, found)]
        np.testing.assert_allclose(values[0], values[1], rtol=2e-3)
    assert other["results"]["distribution"]["d50"] == pytest.approx(record["results"]["distribution"]["d50"], rel=1e-3)
    here, there = other["outlines"]["model"], record["outlines"]["model"]
    assert (here.pop("engine"), there.pop("engine")) == ("onnx", "torch")
    assert here == there, "a bias record's terms are the same but for the engine"
    assert other["outlines"]["licence"] == "for tests"
    assert "onnxruntime" in other["versions"]
    assert "torch" not in other["versions"]


def test_both_engines_predict_the_same_states(network, tmp_path, capsys):
    labels = network / "labels"
    labels.mkdir(exist_ok=True)
    visible = render_image(SCENE, 0).truth.visible.to_full()
    write_png(labels / "scene.png", (visible.T * np.arange(1, len(visible) + 1)).max(axis=2).T.astype(np.uint8))
    drawn, tables, records = ["--from-labels", labels, "--states", "predicted", "--visibility"], [], []
    for name, files in (("torch", ["seen.py", "seen.pth"]), ("onnx", ["seen.semsize"])):
        record, table, _ = measured(network, tmp_path / name, *drawn, *(network / file for file in files))
        assert record["outlines"]["visibility"]["engine"] == name
        tables.append(table)
        records.append(record)
    assert "computed by onnx in float32" in capsys.readouterr().out
    assert len(tables[0]) == len(tables[1]) > 4
    for column in ("p_particle", "visible_fraction", "whole_ecd_px", "p_masked"):
        ours, theirs = ([float(row[column] or "nan") for row in table] for table in tables)
        np.testing.assert_allclose(ours, theirs, atol=2e-3, err_msg=column)
    assert [row["state"] for row in tables[0]] == [row["state"] for row in tables[1]]
    theirs, ours = (record["outlines"]["visibility"] for record in records)
    assert {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]} <= {"path", "engine", "licence"}


def test_scales_tiles_and_diameter_are_part_of_the_use(network, tmp_path):
    model = ["--model", network / "small.semsize"]
    record, _, _ = measured(network, tmp_path / "a", *model, "--scales", "0.75,1.5", "--tile", "64", "--overlap", "16")
    settings = record["outlines"]["model"]["settings"]
    assert (settings["model.test_cfg.scales"], settings["tile"]) == ([0.75, 1.5], [64, 16])
    assert record["images"][0]["scales"] == [0.75, 1.5]
    record, _, _ = measured(network, tmp_path / "b", *model, "--diameter", "100nm")
    assert (record["outlines"]["scales"], record["outlines"]["diameter"]) == ("auto", "100nm")


def test_the_archive_s_bias_record_is_that_of_its_checkpoint_and_says_what_differs(network, tmp_path):
    record, _, _ = measured(network, tmp_path / "out", "--model", network / "small.semsize")
    assert record["not_validated"] == ["this model has no bias record (tools/validate.py makes one)"]


def test_an_archive_in_int8_finds_nearly_the_same_and_says_so(network, tmp_path, capsys):
    scene, archive = read_grey(network / "scans" / "scene.png"), read_archive(network / "small.semsize")
    fast = quantised(archive, [scene])
    assert fast.card == replace(archive.card, precision="int8")
    engines = [RecordingEngine(each) for each in (archive, fast)]
    for engine in engines:
        look(scene, engine, Looking(engine.card.scales))
    for graph in QUANTISED:
        models = [onnx.load_from_string(each.graphs[graph]) for each in (archive, fast)]
        quantisers = [sum(node.op_type == "QuantizeLinear" for node in model.graph.node) for model in models]
        assert quantisers[0] == 0 < quantisers[1]
        again = halved(widened(onnx.load_from_string(archive.graphs[graph])))
        assert {each.name: each for each in again.graph.initializer} == {
            each.name: each for each in models[0].graph.initializer
        }
        here, there = [engine._run(graph, **engines[0].inputs[graph][0])[-1] for engine in engines]
        assert 0 < np.std(here - there) < 0.1 * np.std(here)
    write_archive(tmp_path / "fast.semsize", fast)
    record, table, _ = measured(network, tmp_path / "out", "--model", tmp_path / "fast.semsize")
    assert "computed by onnx in int8" in capsys.readouterr().out
    assert record["outlines"]["model"]["precision"] == "int8"
    assert table


def test_a_model_that_ships_is_computed_by_its_archive_once_a_record_holds_for_that(network, tmp_path, monkeypatch):
    for name in ("small.py", "small.pth", "small.semsize"):
        shutil.copy(network / name, tmp_path / name)
    monkeypatch.setitem(SHIPPED, "small", ShippedModel(tmp_path / "small.py", tmp_path / "small.pth", "for tests"))
    records = []
    for engine in ("torch", "onnx"):
        source, _ = find_detector(DetectorRequest("small", engine=engine))
        assert isinstance(source, ArchivedModel) == (engine == "onnx")
        use, none = ModelUse.from_json(source.as_record()["model"]), CoveredRanges(None, None, None, None)
        records.append(BiasRecord("small.pth", use, OPERATING_SCORE, 0.5, (), (), (), none))
        write_bias_records(tmp_path / "small.bias.json", records)
        taken, found = find_detector(DetectorRequest("small"))
        assert taken.as_record()["model"]["engine"] == engine
        assert list(found) == records
    assert taken.path == tmp_path / "small.semsize"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "none.semsize"], "model none.semsize does not exist"),
        (["--model", "small.pth.semsize"], "small.pth.semsize: this is no model"),
        (["--model", "small.semsize", "--engine", "torch"], "the engine torch reads no archive"),
        (["--model", "small.semsize", "--device", "cuda"], "computes on a CPU"),
        (["--engine", "onnx", "--config", "small.py", "--checkpoint", "small.pth"], "tools/export_onnx.py"),
        (["--model", "small.semsize", "--engine", "tvm"], "no engine 'tvm' is installed"),
        (["--engine", "onnx", "--from-labels", "scans"], "leave out --engine"),
        ([*PREDICTED, "--model", "small.semsize", "--visibility", "small.semsize"], "archive of a detector"),
        ([*PREDICTED, "--model", "seen.semsize"], "archive of a visibility model"),
        ([*PREDICTED, "--model", "small.semsize", "--visibility", "small.pth.semsize"], "this is no model"),
        ([*PREDICTED, "--from-labels", "scans", "--engine", "onnx", "--visibility", "seen.py", "seen.pth"], "CONFIG"),
        ([*PREDICTED, "--from-labels", "scans", "--engine", "torch", "--visibility", "seen.semsize"], "no archive"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(network, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(network)
    (network / "small.pth.semsize").write_bytes(b"no archive")
    with pytest.raises(SystemExit, match=message) as ended:
        main(["scans", "--out", str(tmp_path / "out"), *words])
    assert "\n" not in ended.value.code


def program(path, network, out, *words):
    """Write a program that measures where the modules of some systems are missing, and run it.

    Other processes that it starts import it first, and lack them too.
    """
    text = f"""
    import signal, sys

    class Missing:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in {{"torch", "torchvision", "mmengine", "mmcv", "mmdet", "tio2"}}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
    for name in ("resource", "fcntl", "pwd", "grp", "termios", "syslog", "pty", "tty"):
        sys.modules[name] = None  # an import of it fails
    for name in ("SIGUSR1", "SIGHUP", "SIGALRM", "alarm", "pthread_sigmask", "sigwaitinfo"):
        delattr(signal, name)
    if __name__ == "__main__":
        import os

        for name in ("fork", "getuid", "geteuid", "sched_getaffinity"):
            delattr(os, name)
        from semsize.programs.measure import main

        code = None
        try:
            main({[str(network / "scans"), "--out", str(out), *map(str, words)]!r})
        except SystemExit as ended:
            code = ended.code
        loaded = {{name.partition(".")[0] for name in sys.modules if sys.modules[name] is not None}}
        print("heavy:", sorted(loaded & {{"torch", "torchvision", "mmengine", "mmcv", "mmdet", "tio2", "onnx"}}))
        sys.exit(code)
    """
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    console = {**os.environ, "PYTHONIOENCODING": "ascii"}
    return subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=ROOT, env=console, check=False)


def test_measuring_with_an_archive_needs_no_torch_and_nothing_that_windows_lacks(network, tmp_path):
    """In other processes too, and on a console that lacks the names' letters."""
    scene = (network / "scans" / "scene.png").read_bytes()
    (tmp_path / "scans").mkdir()
    for name in ("a.png", "b Δ.png"):
        (tmp_path / "scans" / name).write_bytes(scene)
    for name in ("small.semsize", "seen.semsize"):
        shutil.copy(network / name, tmp_path / name)
    words = ["--model", tmp_path / "small.semsize", "--jobs", "2", "--score", "0.05", "--rois", "--pixel-size", "5nm"]
    words += [*PREDICTED, "--visibility", tmp_path / "seen.semsize"]
    done = program(tmp_path / "windows.py", tmp_path, tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert "computed by onnx in float32" in done.stdout
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "fully imaged: visible to 0.98 and more; measured at all: to 0.40 and more" in report
    with (tmp_path / "out" / "particles.csv").open(encoding="utf-8") as stream:
        assert all(float(row["p_particle"]) > 0 for row in csv.DictReader(stream))
    assert r"b \u0394.png" in done.stdout, "copies of an image are named"
