"""A detector that a program exported is tested, compared and validated on ONNX Runtime by the programs."""

import json
from dataclasses import replace

import pytest
import tiny_network

from semsize.detecting.archive import read_archive
from semsize.structures.files import file_sha256

TEST = {
    "scales": [1.5],
    "rpn": {"nms_pre": 200, "max_per_img": 60},
    "rcnn": {"score_thr": 0.05, "max_per_img": 40, "mask_scores": True},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, rendered_set):
    """A config of a small network, tested on rendered scenes, and its checkpoint."""
    folder = tmp_path_factory.mktemp("engines")
    data = f"""
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root={str(rendered_set) + "/"!r}))
val_evaluator = dict(ann_file={str(rendered_set / "annotations" / "val.json")!r})
"""
    config = tiny_network.write_config(folder / "small.py", data, precision="float32", test_cfg=TEST)
    model = tiny_network.build(config)
    for layer in (model.rpn_head.rpn_cls, model.roi_head.bbox_head.fc_cls, model.roi_head.mask_head.conv_logits):
        layer.weight.data *= 4
    model.roi_head.mask_head.conv_logits.bias.data += 2
    model.roi_head.bbox_head.fc_cls.bias.data[0] += 2
    for weights in model.parameters():
        weights.data = weights.data.half().float()
    return config, tiny_network.save(model, folder / "small.pth")


def test_an_exported_detector_is_tested_compared_and_validated(run_tool, files, rendered_set, tmp_path):
    config, checkpoint = files
    archive, annotations = tmp_path / "small.semsize", rendered_set / "annotations" / "val.json"

    def run(*words):
        done = run_tool(*map(str, words))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "licence not known" in run("export_onnx.py", config, checkpoint, "--out", archive)
    tested = {}
    for name, weights in (("torch", checkpoint), ("onnx", archive)):
        run("test.py", config, weights, "--work-dir", tmp_path / name)
        tested[name] = json.loads((tmp_path / name / "val" / "metrics.json").read_text(encoding="utf-8"))
        assert tested[name]["model"].pop("engine") == name
    assert tested["onnx"]["model"] == tested["torch"]["model"]
    for name, value in tested["torch"]["metrics"].items():
        if name.endswith(("mAP", "AP50")):
            assert tested["onnx"]["metrics"][name] == pytest.approx(value, abs=0.002)
    words = ["--truth", annotations, "--images", rendered_set / "images" / "val"]
    fast = tmp_path / "fast.semsize"
    out = run("export_onnx.py", config, checkpoint, "--out", fast, "--int8", rendered_set / "images" / "train")
    assert "int8" in out
    words += ["--timed", 1, "--pairs", 1, "--threads", 1, "--most", 2]
    done = run_tool(*map(str, ("benchmarks/engines.py", config, checkpoint, archive, fast, *words)))
    assert "100.00 % matched" in done.stdout
    assert "times as fast" in done.stdout
    assert " of float32 on " not in done.stderr
    assert done.returncode == (" of int8 on " in done.stderr), "random weights may lose more in int8 than is allowed"
    shipped, found = checkpoint.with_suffix(".semsize"), tmp_path / "onnx" / "val" / "predictions.json"
    done = run_tool("publish.py", str(archive), str(shipped))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "no bias record beside" in done.stderr
    assert not shipped.exists()
    out = run("validate.py", "--pair", annotations, found, "--checkpoint", checkpoint)
    assert "holds for onnx, float32" in out
    assert "validated on" in run("publish.py", archive, shipped)
    before, after = read_archive(archive), read_archive(shipped)
    assert after.graphs == before.graphs
    assert len(after.card.bias_records["records"]) == 1
    assert replace(after.card, bias_records=before.card.bias_records) == before.card
    digest, name = shipped.with_name("small.semsize.sha256").read_text(encoding="utf-8").split()
    assert (digest, name) == (file_sha256(shipped), "small.semsize")
    other = config.with_name("other.py")
    other.write_text(f"_base_ = {str(config)!r}\nmodel = dict(test_cfg=dict(rcnn=dict(score_thr=0.1)))\n")
    done = run_tool("test.py", str(other), str(archive), "--work-dir", str(tmp_path / "other"))
    assert done.returncode == 1
    assert "score_thr is 0.1, in the archive 0.05; export it again" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
