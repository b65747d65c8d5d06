"""Corrected outlines measured again: which of them count, the corrections' effect on sizes, the image of each."""

import json
import runpy
import shutil
import sys

import numpy as np
import pytest
from measured_scenes import BrightSource, DoubtfulSource

from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.shapes import ellipse_mask, stroke_mask
from semsize.correcting.source import CorrectedOutlines
from semsize.measuring import InputError, MeasurementSettings, measure, measure_images
from semsize.measuring.corrected import Changes
from semsize.measuring.inputs import find_images
from semsize.programs import convert
from semsize.structures import read_annotations
from semsize.structures.pixel_size import PixelSize


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
    return measure(files, tmp_path / "again", CorrectedOutlines(results.folder), MeasurementSettings(**settings))


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
    assert any("nobody touched 3 outlines" in warning for warning in done.record["warnings"])
    assert done.summary.kept == 1, "one outline has a state, so the result leaves out the others"
    stateless = measured_again(results, measured_once, tmp_path / "all", min_size_px=0.0, states="none")
    distribution = stateless.summary.distribution
    assert effect["sizes_after"] == pytest.approx([distribution.d10, distribution.d50, distribution.d90])
    assert stateless.record["corrections"] == effect, "states do not decide what corrections did"


def test_a_state_given_to_an_outline_is_no_change_of_sizes(results, measured_once, tmp_path):
    with results.open_log(results.images[0], results.detected(results.images[0])) as log:
        log.apply(log.corrections.restate([3], "complete"))
    effect = measured_again(results, measured_once, tmp_path).record["corrections"]
    assert effect["changes"]["restated"] == 1
    assert effect["sizes_after"] == effect["sizes_before"]


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


def test_the_frame_of_the_measurement_that_was_corrected_holds(measured_once, tmp_path):
    images = [measured_once / "scans"]
    first = measure_images(images, tmp_path / "cropped", BrightSource(), MeasurementSettings(crop_rows=30))
    again = measure_images(images, tmp_path / "again", CorrectedOutlines(tmp_path / "cropped"))
    assert {image["frame_rows"] for image in again.record["images"]} == {98}
    assert again.summary.distribution.d50 == first.summary.distribution.d50
    assert again.record["corrections"]["sizes_before"] == again.record["corrections"]["sizes_after"]
    assert any("measured only in rows 0 to 98 of the file" in warning for warning in again.record["warnings"])


def test_changes_are_counted_in_the_rows_that_are_measured_and_add_up(results, measured_once, tmp_path):
    image = results.images[0]
    with results.open_log(image, results.detected(image)) as log:
        state = log.corrections
        log.apply(state.add(ellipse_mask((20, 120), (6, 4), state.image_shape)))  # x, y: in the lowest rows
        log.apply(state.add(ellipse_mask((150, 60), (6, 6), state.image_shape)))
        log.apply(state.mark([3], is_particle=True))
    whole, cropped = (
        measured_again(results, measured_once, tmp_path / str(rows), crop_rows=rows).record for rows in (0, 20)
    )
    assert [Changes(**done["corrections"]["changes"]).added for done in (whole, cropped)] == [2, 1]
    for done in (whole, cropped):
        effect = done["corrections"]
        changes = Changes(**effect["changes"])
        assert changes.confirmed == 1
        assert effect["particles_after"] == effect["particles_before"] + changes.added
        assert effect["particles_before"] == changes.untouched + changes.confirmed
    assert any("rows cropped at the bottom 20, before not given" in line for line in cropped["warnings"])


def test_a_measurement_whose_outlines_were_all_deleted_says_so(results, measured_once, tmp_path):
    for image in results.images:
        detected = results.detected(image)
        with results.open_log(image, detected) as log:
            log.apply(log.corrections.delete((np.flatnonzero(detected.scores >= 0.5) + 1).tolist()))
    done = measured_again(results, measured_once, tmp_path)
    assert done.has_no_outline
    assert done.record["warnings"][0].startswith("NO OUTLINE IS LEFT TO MEASURE")


def test_a_scale_bar_drawn_before_the_first_measurement_of_corrections_holds_in_the_second(
    results, measured_once, tmp_path
):
    results.keep_scale(results.images[1], DrawnScale((10.0, 10.0, 110.0, 10.0), 500.0, 1.0))
    first = measured_again(results, measured_once, tmp_path)
    second = measure_images([measured_once / "scans"], tmp_path / "second", CorrectedOutlines(first.folder))
    sizes = [[(image["pixel_size_nm"], image["pixel_size_std_nm"]) for image in done.record["images"]]
             for done in (first, second)]  # fmt: skip
    assert sizes[0] == sizes[1]
    assert sizes[0][1][0] == 5


def test_what_is_measured_otherwise_than_before_and_logs_of_nothing_are_said(results, measured_once, tmp_path):
    corrected(results)
    (results.folder / "corrections" / "elsewhere.jsonl").write_text("{}", encoding="utf-8")
    done = measured_again(results, measured_once, tmp_path, score=0.05, pixel_size=PixelSize(7.0))
    warnings = "\n".join(done.record["warnings"])
    assert "measured otherwise than before the corrections: score 0.05, before 0.5; pixel size declared 7, " in warnings
    assert "1 logs of corrections belong to no image that was measured: elsewhere.jsonl" in warnings


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
    done = measure(files, tmp_path / "again", source, MeasurementSettings())
    assert not done.skipped
    (tmp_path / "moved" / "y.tif").rename(tmp_path / "moved" / "z.tif")
    done = measure(
        find_images([tmp_path / "moved"], tmp_path / "third"), tmp_path / "third", source, MeasurementSettings()
    )
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
    settings = json.loads((tmp_path / "again" / "record.json").read_text(encoding="utf-8"))["settings"]
    assert (settings["score"], settings["calibration_factor"], settings["states"]) == (0.5, 1.0, "given")
    code, _ = program(monkeypatch, capsys, "measure", *words, "--from-rois", tmp_path)
    assert "give one source of outlines" in code
    words[-1] = tmp_path
    code, _ = program(monkeypatch, capsys, "measure", *words)
    assert code.startswith("error: ")
    assert "\n" not in code


def test_the_command_line_measures_corrections_as_the_measurement_was_made(
    measured_once, tmp_path, monkeypatch, capsys
):
    settings = MeasurementSettings(
        score=0.05, min_size_px=6.0, calibration_factor=1.1, calibration_std=0.02, pixel_size=PixelSize(3.0)
    )
    measure_images([measured_once / "scans"], tmp_path / "out", DoubtfulSource(), settings)
    words = [measured_once / "scans", "--from-corrections", tmp_path / "out", "--min-size", 4]
    assert program(monkeypatch, capsys, "measure", *words, "--out", tmp_path / "again")[0] == 0
    record = json.loads((tmp_path / "again" / "record.json").read_text(encoding="utf-8"))
    kept = {name: record["settings"][name] for name in ("score", "calibration_factor", "calibration_std")}
    assert kept == {"score": 0.05, "calibration_factor": 1.1, "calibration_std": 0.02}
    assert record["images"][0]["pixel_size_nm"] == pytest.approx(3.3)
    assert record["settings"]["min_size_px"] == 4
    assert any("smallest size in px 4, before 6" in warning for warning in record["warnings"])


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
