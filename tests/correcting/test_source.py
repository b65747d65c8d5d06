"""Corrected outlines measured again: what counts, what was done, what it did to the sizes, which image is which."""

import json
import runpy
import shutil
import sys

import numpy as np
import pytest
from measured_scenes import BrightSource

from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.shapes import ellipse_mask, stroke_mask
from semsize.correcting.source import CorrectedOutlines
from semsize.measuring import InputError, Settings, measure, measure_images
from semsize.measuring.corrected import Changes
from semsize.measuring.inputs import find_images
from semsize.programs import convert
from semsize.structures import read_annotations


def corrected(results):
    """Image 1 with something of everything; image 2 with a scale bar."""
    image = results.images[0]
    with results.open_log(image, results.detected(image)) as log:
        state = log.corrections
        log.apply(state.delete([1]))
        log.apply(state.add(ellipse_mask((20, 100), (8, 8), state.image_shape), "complete"))
        log.apply(state.add(ellipse_mask((60, 12), (5, 9), state.image_shape)))
        box = state.masks([8]).boxes[0]
        log.apply(state.split(8, [(box[[0, 2]].mean(), -1), (box[[0, 2]].mean(), 127)]))
        log.apply(state.mark([2], is_particle=True))
        center = state.masks([3]).boxes[0].reshape(2, 2).mean(axis=0)
        log.apply(state.push(3, stroke_mask([center, center + 12], 6, state.image_shape), adds=True))
        log.apply(state.restate([5], "masked"))
        log.apply(state.mark([5], is_particle=False))
        log.apply(state.delete([4]))
        log.undo()
    results.keep_scale(results.images[1], DrawnScale((10.0, 10.0, 110.0, 10.0), 400.0, 1.0))
    return state


def measured_again(results, measured_once, tmp_path, **settings):
    files = find_images([measured_once / "scans"], tmp_path / "again")
    return measure(files, tmp_path / "again", CorrectedOutlines(results.folder), Settings(**settings))


def test_changed_and_new_outlines_count_and_untouched_ones_keep_their_score(results, measured_once, tmp_path):
    state = corrected(results)
    done = measured_again(results, measured_once, tmp_path)
    first = done.table.part(done.table["image"] == "a.tif")
    scores = results.detected(results.images[0]).scores
    expected = {2: 1, 3: 1, 4: scores[3], 6: scores[5], 7: 1, 9: 1, 10: 1}
    assert first["score"].tolist() == pytest.approx(list(expected.values()))
    assert first["area_px"].tolist() == state.masks(list(expected)).areas.tolist()
    assert first["state"].tolist() == ["", "", "", "", "complete", "", ""]
    assert done.record["outlines"]["kind"] == "corrections"


def test_the_report_says_what_was_done_and_what_it_did(results, measured_once, tmp_path):
    corrected(results)
    done = measured_again(results, measured_once, tmp_path, min_size_px=0.0)
    effect = done.record["corrections"]
    expected = Changes(deleted=1, not_particles=1, added=1, split=0, parts=2, redrawn=1, accepted=1, untouched=3)
    assert Changes(**effect["changes"]) == expected
    assert (effect["particles_before"], effect["particles_after"]) == (6, 8)
    html = (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Corrections</h2>" in html
    assert any("3 outlines are as the source before" in warning for warning in done.record["warnings"])
    distribution = done.summary.distribution
    assert effect["sizes_after"] == pytest.approx([distribution.d10, distribution.d50, distribution.d90])


def test_without_corrections_nothing_changes(results, measured_once, tmp_path):
    results.keep_scale(results.images[1], DrawnScale((10.0, 10.0, 110.0, 10.0), 500.0, 1.0))
    done = measured_again(results, measured_once, tmp_path)
    effect = done.record["corrections"]
    assert effect["sizes_after"] == effect["sizes_before"]
    assert Changes(**effect["changes"]) == Changes(untouched=6)
    sizes = {image["image"]: image["pixel_size_nm"] for image in done.record["images"]}
    assert sizes == {"a.tif": 5, "sub/b.tif": 5}
    stds = {image["image"]: image["pixel_size_std_nm"] for image in done.record["images"]}
    assert stds["sub/b.tif"] == pytest.approx(5 * np.sqrt(2 / 3) / 100)


def test_before_and_after_lie_in_the_same_frame(results, measured_once, tmp_path):
    cropped = measured_again(results, measured_once, tmp_path, crop_rows=60)
    effect = cropped.record["corrections"]
    assert effect["sizes_after"] == effect["sizes_before"]
    assert effect["particles_after"] == effect["particles_before"] < 6


def test_another_measurement_has_no_corrections(measured_once):
    record = json.loads((measured_once / "out" / "record.json").read_text(encoding="utf-8"))
    assert record["corrections"] is None
    assert "<h2>Corrections</h2>" not in (measured_once / "out" / "report.html").read_text(encoding="utf-8")


def test_an_image_is_known_by_its_contents_and_copies_by_their_names(tmp_path, measured_once):
    for name in ("x.tif", "y.tif"):
        (tmp_path / "scans").mkdir(exist_ok=True)
        shutil.copy(measured_once / "scans" / "a.tif", tmp_path / "scans" / name)
    measure_images([tmp_path / "scans"], tmp_path / "out", BrightSource())
    source = CorrectedOutlines(tmp_path / "out")
    shutil.copytree(tmp_path / "scans", tmp_path / "moved")
    files = find_images([tmp_path / "moved"], tmp_path / "again")
    done = measure(files, tmp_path / "again", source, Settings())
    assert not done.skipped
    (tmp_path / "moved" / "y.tif").rename(tmp_path / "moved" / "z.tif")
    done = measure(find_images([tmp_path / "moved"], tmp_path / "third"), tmp_path / "third", source, Settings())
    assert "several copies" in done.skipped["z.tif"]
    with pytest.raises(InputError, match="no image of these contents"):
        measure_images([measured_once / "scans" / "sub"], tmp_path / "none", CorrectedOutlines(tmp_path / "out"))


def program(monkeypatch, capsys, module, *words):
    monkeypatch.setattr(sys, "argv", [module, *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"semsize.programs.{module}").get("main")()
    return ended.value.code, capsys.readouterr().out


def test_the_command_line_measures_corrections_and_refuses_two_sources(
    results, measured_once, tmp_path, monkeypatch, capsys
):
    corrected(results)
    words = [measured_once / "scans", "--out", tmp_path / "again", "--from-corrections", results.folder]
    code, out = program(monkeypatch, capsys, "measure", *words)
    assert code == 0
    assert "in 2 images" in out
    code, _ = program(monkeypatch, capsys, "measure", *words, "--from-rois", tmp_path)
    assert "outlines come from one place" in code
    words[-1] = tmp_path
    code, _ = program(monkeypatch, capsys, "measure", *words)
    assert code.startswith("error: ")
    assert "\n" not in code


@pytest.mark.parametrize("tool", ["coco", "labelme", "imagej"])
def test_corrections_json_goes_through_another_tool_and_back(results, measured_once, tmp_path, tool):
    corrected(results)
    file, out = results.write_annotations(), tmp_path / tool
    if tool != "coco":
        convert.export([str(file), "--format", tool, "--out", str(out)])
    read = {"coco": convert.coco, "labelme": convert.labelme, "imagej": convert.imagej_rois}[tool]
    images = ["--images", str(measured_once / "scans")]
    read([str(file if tool == "coco" else out), *images, "--out", str(tmp_path / "back"), "--val", "0"])
    kept, back = read_annotations(file), read_annotations(tmp_path / "back" / "annotations" / "train.json")
    areas, states = (
        [sorted(str(one[key]) if key == "state" else one[key] for one in data["annotations"]) for data in (kept, back)]
        for key in ("area", "state")
    )
    assert areas[0] == pytest.approx(areas[1], rel=0 if tool == "coco" else 0.05, abs=0 if tool == "coco" else 4)
    assert states[0] == states[1]
