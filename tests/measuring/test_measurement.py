"""A whole measurement with a stand-in for the network: images found, kept, resumed, left out and measured again."""

import csv
import json
import re
import weakref
from itertools import zip_longest

import cv2
import numpy as np
import openpyxl
import pytest
import roifile
import tifffile
from measured_scenes import RADII, SHAPE, BrightSource, DoubtfulSource, scene, write_scenes, write_zeiss

from semsize.measuring import InputError, MeasurementSettings, OutputError, RunOptions, measure_images
from semsize.measuring.inputs import find_images
from semsize.measuring.measurement import measure, read_measurement
from semsize.measuring.outline_files import outlines_from_coco, outlines_from_labels, outlines_from_rois
from semsize.measuring.report import size_figures, size_report
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.summary import summarise
from semsize.sem import reading
from semsize.structures import read_predictions
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize


def rows_of(folder):
    with (folder / "particles.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_settings_may_change_until_an_image_has_been_measured(tmp_path):
    (image,) = write_scenes(tmp_path / "in", 1)
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    with pytest.raises(InputError, match="none of 1 images could be measured; the first: "):
        measure_images([image], tmp_path / "out", BrightSource())
    image.write_bytes(whole)
    done = measure_images([image], tmp_path / "out", BrightSource(), MeasurementSettings(score=0.6))
    assert done.record["settings"]["score"] == 0.6
    assert not done.skipped


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Four images of disks, measured with all that can be written."""
    folder = tmp_path_factory.mktemp("measured")
    images = write_scenes(folder / "in", 4)
    options = RunOptions(xlsx=True, rois=True, command=("python", "tools/measure.py"))
    return measure_images(
        images, folder / "out", BrightSource(), MeasurementSettings(calibration_std=0.01), options=options
    )


def test_the_disks_are_found_and_what_does_not_count_is_named(measured):
    table = measured.table
    assert len(table) == 4 * len(RADII)
    kept = table["excluded"] == ""
    assert sorted(set(table["excluded"])) == ["", "border", "too small"]
    assert (table["excluded"] == "border").sum() == (table["excluded"] == "too small").sum() == 4
    assert ((table["excluded"] == "border") == (table["touches_border"] == 1)).all()
    expected = sorted(
        2 * 5 * r
        for seed in range(4)
        for n, r in enumerate(np.array(RADII) * np.random.default_rng(seed).uniform(0.9, 1.1, 6))
        if n not in (4, 5)
    )
    np.testing.assert_allclose(np.sort(table["ecd_nm"][kept]), expected, rtol=0.03)
    assert measured.summary.kept == 16
    assert measured.summary.distribution.d50 == pytest.approx(np.median(expected), rel=0.1)


def test_weights_are_those_of_the_frame(measured):
    for row in rows_of(measured.folder):
        if row["touches_border"] == "1":
            assert row["weight"] == ""
        else:
            height, width = SHAPE
            side = float(row["ecd_px"]) + 3  # a disk's box is about its diameter; one pixel at each edge, and the grid
            expected = height * width / ((width - side) * (height - side))
            assert float(row["weight"]) == pytest.approx(expected, rel=0.03)


def test_every_number_can_be_made_again_from_record_and_table(measured):
    record, table = read_measurement(measured.folder)
    summary = summarise(record, table)
    contents = json.loads((measured.folder / "record.json").read_text(encoding="utf-8"))
    assert summary.numbers() == contents["results"]
    figures = size_figures(summary)
    html = (measured.folder / "report.html").read_text(encoding="utf-8")
    gallery = re.compile(r'<div class="gallery">.*?</div>', re.DOTALL)
    assert gallery.sub("", html) == gallery.sub("", size_report(contents, figures, []))


def test_the_record_says_what_went_in(measured):
    record = json.loads((measured.folder / "record.json").read_text(encoding="utf-8"))
    assert record["versions"]["numpy"] == np.__version__
    assert "torch" not in record["versions"]
    assert record["command"] == ["python", "tools/measure.py"]
    assert [entry["pixel_size_nm"] for entry in record["images"]] == [5.0] * 4
    assert "Zeiss" in record["images"][0]["pixel_size_source"]
    assert all(re.fullmatch("[0-9a-f]{64}", entry["sha256"]) for entry in record["images"])
    assert not record["skipped"]


def test_predictions_are_the_masks_in_the_file_s_frame(measured):
    predictions = read_predictions(measured.folder / "predictions.json")
    masks = CroppedMasks.from_rles([one["segmentation"] for one in predictions])
    np.testing.assert_array_equal(masks.areas, measured.table["area_px"])
    assert [one["image"] for one in predictions] == measured.table["image"].tolist()


def test_the_workbook_holds_the_table(measured):
    sheet = openpyxl.load_workbook(measured.folder / "particles.xlsx", read_only=True)["particles"]
    header, *rows = sheet.iter_rows(values_only=True)
    for row, expected in zip(rows, rows_of(measured.folder), strict=True):
        assert list(header) == list(expected)
        for value, text in zip_longest(row, expected.values()):  # empty cells at a row's end are not stored
            assert (value is None and text == "") or str(value) == text or float(value) == float(text)


def test_rois_come_back_as_the_same_particles(measured, tmp_path):
    files = find_images([measured.folder.parent / "in"], tmp_path)
    again = measure_images(
        [measured.folder.parent / "in"], tmp_path / "out", outlines_from_rois(measured.folder / "rois", files)
    )
    for name in ("area_px", "x_px", "y_px", "ecd_nm", "weight", "touches_border"):
        np.testing.assert_array_equal(again.table[name], measured.table[name])


def test_predictions_come_back_with_their_scores(measured, tmp_path):
    files = find_images([measured.folder.parent / "in"], tmp_path)
    source = outlines_from_coco(measured.folder / "predictions.json", files)
    again = measure_images([measured.folder.parent / "in"], tmp_path / "out", source, MeasurementSettings(score=0.92))
    np.testing.assert_array_equal(again.table["area_px"], measured.table["area_px"])
    np.testing.assert_array_equal(again.table["score"], measured.table["score"])
    assert ((again.table["excluded"] == "score") == (again.table["score"] < 0.92)).all()


def test_an_interrupted_measurement_goes_on_and_a_changed_image_is_measured_again(tmp_path):
    images = write_scenes(tmp_path / "in", 3)
    source = BrightSource(tmp_path / "log")
    first = measure_images(images, tmp_path / "out", source)
    table = (tmp_path / "out" / "particles.csv").read_bytes()
    (tmp_path / "out" / "particles.csv").unlink()
    parts = sorted((tmp_path / "out" / "parts").glob("scan*.json"))
    parts[1].write_text(parts[1].read_text(encoding="utf-8")[:100], encoding="utf-8")  # damaged
    (tmp_path / "out" / "parts" / ".scan.json.1.part").write_text("{")  # what a killed process leaves
    measure_images(images, tmp_path / "out", source)
    assert (tmp_path / "out" / "particles.csv").read_bytes() == table
    assert not list((tmp_path / "out" / "parts").glob(".*"))
    write_zeiss(images[2], scene(77))
    third = measure_images(images, tmp_path / "out", source)
    assert (tmp_path / "log").read_text().split("\n") == [
        *(f"scan {n}.tif" for n in (0, 1, 2)), "scan 1.tif", "scan 2.tif", ""
    ]  # fmt: skip
    assert third.summary.distribution.mean != first.summary.distribution.mean


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"crop_rows": 30}, r"settings.crop_rows: None, now 30"),
        ({"crop_top": 3}, r"settings.crop_top: None, now 3"),
        ({"intensity_range": (0.0, 9.0)}, r"settings.intensity_range: None, now \[0.0, 9.0\]"),
    ],
)
def test_settings_that_change_what_is_found_are_refused_and_named(tmp_path, changes, named):
    images = write_scenes(tmp_path / "in", 1)
    measure_images(images, tmp_path / "out", BrightSource())
    with pytest.raises(OutputError, match=rf"other settings \({named}\)"):
        measure_images(images, tmp_path / "out", BrightSource(), MeasurementSettings(**changes))


def without_times(record):
    images = [{**entry, "seconds": 0} for entry in record["images"]]
    return {**record, "images": images, "date": "", "seconds": 0}


def test_settings_that_change_nothing_of_what_is_found_need_no_second_detection(tmp_path):
    images = [*write_scenes(tmp_path / "in", 3), write_zeiss(tmp_path / "in" / "no size.tif", scene(9), None)]
    (tmp_path / "states.csv").write_text("image,id,state\nscan 0.tif,1,isolated\n", encoding="utf-8")
    source = DoubtfulSource(tmp_path / "log")
    measure_images(images, tmp_path / "out", source)
    for changes in (
        {"score": 0.05, "min_size_px": 18.0, "pixel_size": PixelSize(9.0), "seed": 3},
        {"score": 0.93, "calibration_factor": 1.1, "calibration_std": 0.02, "reference_std_px": 0.1,
         "target_percent": 9.0, "states_file": tmp_path / "states.csv"},
        {},
    ):  # fmt: skip
        again = measure_images(images, tmp_path / "out", source, MeasurementSettings(**changes))
        fresh = measure_images(
            images, tmp_path / f"fresh {len(changes)}", DoubtfulSource(), MeasurementSettings(**changes)
        )
        assert without_times(again.record) == without_times(fresh.record)
        for name in ("particles.csv", "predictions.json"):
            assert (again.folder / name).read_bytes() == (fresh.folder / name).read_bytes()
        for picture in fresh.folder.glob("overlays/*"):
            assert (again.folder / "overlays" / picture.name).read_bytes() == picture.read_bytes()
    assert len((tmp_path / "log").read_text().splitlines()) == len(images)


def test_the_contrast_is_that_of_the_particles_counted(tmp_path):
    grey = np.full(SHAPE, 40, np.uint8)
    grey[20:40, 20:40], grey[60:90, 60:90] = 160, 240  # the second one has a score of 0.1
    image = write_zeiss(tmp_path / "a.tif", grey)
    contrasts = [
        measure_images([image], tmp_path / "out", DoubtfulSource(), MeasurementSettings(score=score)).record["images"][
            0
        ]["contrast"]
        for score in (0.5, 0.05, 0.99)
    ]
    assert contrasts == [120, 200, None]


def test_a_folder_of_a_former_version_is_refused_in_one_line(tmp_path):
    images = write_scenes(tmp_path / "in", 1)
    measure_images(images, tmp_path / "out", BrightSource())
    settings = tmp_path / "out" / "parts" / "settings.json"
    content = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps({name: content[name] for name in ("settings", "outlines")}), encoding="utf-8")
    with pytest.raises(OutputError, match="measured by another version of this program") as refused:
        measure_images(images, tmp_path / "out", BrightSource())
    assert "\n" not in str(refused.value)


def test_a_pixel_size_that_a_text_beside_the_image_states_later_is_taken_up(tmp_path, monkeypatch):
    image, decoded, read = tmp_path / "in" / "a.png", [], reading.read_values
    image.parent.mkdir()
    image.write_bytes(cv2.imencode(".png", scene(0))[1])
    monkeypatch.setattr(reading, "read_values", lambda path, **options: decoded.append(path) or read(path, **options))
    source = BrightSource(tmp_path / "log")
    assert measure_images([image], tmp_path / "out", source).summary.unit == "px"
    image.with_suffix(".txt").write_text(f"[SemImageFile]\nDataSize={SHAPE[1]}x{SHAPE[0]}\nPixelSize=4.0\n")
    assert measure_images([image], tmp_path / "out", source).record["images"][0]["pixel_size_nm"] == 4
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert len(decoded) == 3  # to find the particles, and for each overlay; never for the text's size alone


def test_results_are_held_one_at_a_time(tmp_path, monkeypatch):
    images = write_scenes(tmp_path / "in", 6)
    alive, most, read = weakref.WeakSet(), [], ResultsFolder.read_result

    def counted(folder, file):
        result = read(folder, file)
        if result is not None:
            alive.add(result)
        most.append(len(alive))
        return result

    monkeypatch.setattr(ResultsFolder, "read_result", counted)
    measure_images(images, tmp_path / "out", BrightSource(), options=RunOptions(rois=True, xlsx=True))
    assert max(most) <= 2  # the one at hand, and the one before it


def test_files_of_an_earlier_start_that_are_not_made_anew_are_named(tmp_path):
    images = write_scenes(tmp_path / "in", 2)
    measure_images(images, tmp_path / "out", BrightSource(), options=RunOptions(rois=True, xlsx=True))
    done = measure_images(images, tmp_path / "out", BrightSource(), MeasurementSettings(score=0.93))
    for name in ("rois", "particles.xlsx"):
        assert any(line.startswith(f"{name} was not written anew") for line in done.record["warnings"])


def test_what_lies_on_a_text_or_scale_bar_is_left_out_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    grey = np.full((300, 400), 40.0)
    grey[:128, :200] = scene(0)
    grey = np.clip(cv2.GaussianBlur(grey, (0, 0), 0.8) + rng.normal(0, 4, grey.shape), 0, 240).astype(np.uint8)
    cv2.circle(grey, (250, 60), 15, 200, -1)
    bare = measure_images([write_zeiss(tmp_path / "bare" / "a.tif", grey)], tmp_path / "out 1", BrightSource())
    cv2.putText(grey, "SU3500 10.0kV", (20, 280), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    cv2.rectangle(grey, (260, 270), (380, 275), 255, -1)
    image = write_zeiss(tmp_path / "written on" / "a.tif", grey)
    options = RunOptions(rois=True)
    done = measure_images(
        [image], tmp_path / "out 2", BrightSource(), MeasurementSettings(min_size_px=0), options=options
    )
    on = done.table["excluded"] == "caption"
    assert on.sum() >= 12  # letters, the zeros' insides apart, and the bar
    assert (done.table["y_px"][on] > 250).all()
    fresh = measure_images([tmp_path / "bare"], tmp_path / "out 3", BrightSource(), MeasurementSettings(min_size_px=0))
    np.testing.assert_array_equal(done.table["area_px"][~on], fresh.table["area_px"])
    assert done.summary.kept == fresh.summary.kept
    assert done.record["images"][0]["contrast"] == pytest.approx(fresh.record["images"][0]["contrast"], abs=1)
    said = f"texts or scale bars are drawn into 1 of 1 images (a.tif): {on.sum()} particles found on them are left out"
    assert said in done.record["warnings"]
    assert "on a text or scale bar drawn into the picture" in (done.folder / "report.html").read_text(encoding="utf-8")
    assert not any("texts or scale bars" in line for line in bare.record["warnings"])


def test_a_bar_on_top_shifts_nothing(tmp_path):
    """What is found below a bar is what is found without it, so many rows further down, and comes back so."""
    bar = np.zeros((24, SHAPE[1]), np.uint8)
    cv2.putText(bar, "HV 10 kV", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
    rng = np.random.default_rng(0)
    grey = np.clip(scene(0) + rng.normal(0, 3, SHAPE), 0, 250).astype(np.uint8)
    bare = measure_images([write_zeiss(tmp_path / "bare" / "a.tif", grey)], tmp_path / "out 1", BrightSource())
    image = write_zeiss(tmp_path / "barred" / "a.tif", np.concatenate([bar, grey]))
    barred = measure_images([image], tmp_path / "out 2", BrightSource(), options=RunOptions(rois=True))
    (entry,) = barred.record["images"]
    assert (entry["rows"], entry["top"], entry["frame_rows"]) == (SHAPE[0] + 24, 24, SHAPE[0])
    back = outlines_from_rois(tmp_path / "out 2" / "rois", find_images([image], tmp_path))
    again = measure_images([image], tmp_path / "out 3", back)
    predicted = outlines_from_coco(tmp_path / "out 2" / "predictions.json", find_images([image], tmp_path))
    third = measure_images([image], tmp_path / "out 4", predicted)
    by_hand = measure_images([image], tmp_path / "out 5", BrightSource(), MeasurementSettings(crop_top=24, crop_rows=0))
    for done in (barred, again, third, by_hand):
        for name in ("area_px", "x_px", "weight", "touches_border", "excluded"):
            np.testing.assert_array_equal(done.table[name], bare.table[name])
        np.testing.assert_allclose(done.table["y_px"], bare.table["y_px"] + 24)
    assert (tmp_path / "out 2" / "predictions.json").read_bytes() == (
        tmp_path / "out 4" / "predictions.json"
    ).read_bytes()


def test_two_processes_measure_as_one(measured, tmp_path):
    both = measure_images(
        [measured.folder.parent / "in"], tmp_path / "out", BrightSource(), MeasurementSettings(calibration_std=0.01),
        options=RunOptions(jobs=2),
    )  # fmt: skip
    assert (tmp_path / "out" / "particles.csv").read_bytes() == (measured.folder / "particles.csv").read_bytes()
    assert both.summary.numbers() == measured.record["results"]
    for picture in (measured.folder / "overlays").iterdir():
        assert (tmp_path / "out" / "overlays" / picture.name).read_bytes() == picture.read_bytes()


def test_without_any_pixel_size_results_are_in_pixels_and_it_is_said_first(tmp_path):
    done = measure_images(write_scenes(tmp_path / "in", 2, None), tmp_path / "out", BrightSource())
    assert done.summary.unit == "px"
    assert done.record["warnings"][0].startswith("NO PIXEL SIZE IS KNOWN")
    assert not done.summary.nano
    assert np.isnan(done.table["ecd_nm"]).all()


def test_images_without_pixel_size_among_others_are_left_out_of_the_distribution_only(tmp_path):
    images = [*write_scenes(tmp_path / "in", 2), write_zeiss(tmp_path / "in" / "no size.tif", scene(9), None)]
    done = measure_images(images, tmp_path / "out", BrightSource())
    strange = done.table["image"] == "no size.tif"
    assert (done.table["excluded"][strange] == "no pixel size").all()
    assert (done.table["ecd_px"][strange] > 0).all()
    assert done.summary.unit == "nm"
    assert done.summary.kept == 8
    assert "no pixel size is known for 1 of 3 images (no size.tif): their 6 particles" in done.record["warnings"][0]
    first = done.summary.exclusions[0]
    assert (first.reason, first.count) == ("no pixel size", 6)


def test_candidates_below_the_score_are_nobody_s_particles_in_a_mixed_folder(tmp_path):
    images = [*write_scenes(tmp_path / "in", 1), write_zeiss(tmp_path / "in" / "no size.tif", scene(9), None)]
    options = RunOptions(rois=True)
    done = measure_images(images, tmp_path / "out", DoubtfulSource(), options=options)
    faint = done.table["score"] < 0.5
    assert faint.sum() == 6
    assert (done.table["excluded"][faint] == "score").all()
    assert done.summary.detected == 6
    counts = {one.reason: one.count for one in done.summary.exclusions}
    assert counts == {"score": 6, "no pixel size": 3, "border": 1}
    assert any("(no size.tif): their 3 particles are left out" in line for line in done.record["warnings"])
    for name in ("scan 0", "no size"):
        assert len(roifile.roiread(tmp_path / "out" / "rois" / f"{name}.tif.zip")) == 3
    record, table = read_measurement(done.folder)
    assert summarise(record, table).numbers() == done.record["results"]


def test_the_user_s_pixel_size_goes_before_the_file_s(tmp_path):
    images = write_scenes(tmp_path / "in", 1)
    settings = MeasurementSettings(pixel_size=PixelSize(10.0, source="--pixel-size"), calibration_factor=1.1)
    done = measure_images(images, tmp_path / "out", BrightSource(), settings)
    np.testing.assert_allclose(done.table["ecd_nm"], 11 * done.table["ecd_px"], rtol=1e-8)
    assert done.record["images"][0]["pixel_size_source"].startswith("--pixel-size")


def test_rows_are_cropped_and_the_border_is_that_of_what_is_left(tmp_path):
    images = write_scenes(tmp_path / "in", 1)
    done = measure_images(images, tmp_path / "out", BrightSource(), MeasurementSettings(crop_rows=30))
    assert done.record["images"][0]["frame_rows"] == 98
    lowest = done.table["y_px"].argmax()
    assert done.table["touches_border"][lowest] == 1  # centred at 95 of 98 rows
    sizes = {tuple(one["segmentation"]["size"]) for one in read_predictions(tmp_path / "out" / "predictions.json")}
    assert sizes == {SHAPE}
    with pytest.raises(InputError, match="has 128 rows, 128 are to be cropped"):
        measure_images(images, tmp_path / "none", BrightSource(), MeasurementSettings(crop_rows=128))


def test_outlines_of_an_image_without_its_lowest_rows_end_where_these_begin(measured, tmp_path):
    records = read_predictions(measured.folder / "predictions.json")
    for record in records:
        masks = CroppedMasks.from_rles([record["segmentation"]]).crop((0, 0, SHAPE[1], 98))
        record["segmentation"] = masks.to_rles()[0]
    (tmp_path / "short.json").write_text(json.dumps(records), encoding="utf-8")
    images = measured.folder.parent / "in"
    source = outlines_from_coco(tmp_path / "short.json", find_images([images], tmp_path))
    done = measure_images([images], tmp_path / "out", source)
    assert {entry["frame_rows"] for entry in done.record["images"]} == {98}
    cut = (done.table["y_px"] > 80) & (done.table["area_px"] > 250)
    assert cut.sum() == (done.table["touches_border"][cut] == 1).sum() == 4


@pytest.mark.parametrize("kind", ["predictions", "rois"])
def test_what_the_frame_cut_off_stays_cut_off_when_its_outlines_are_measured_again(tmp_path, kind):
    images = write_scenes(tmp_path / "in", 2)
    first = measure_images(
        images, tmp_path / "out", BrightSource(), MeasurementSettings(crop_rows=30), options=RunOptions(rois=True)
    )
    files = find_images([tmp_path / "in"], tmp_path / kind)
    read, where = {"predictions": (outlines_from_coco, "predictions.json"), "rois": (outlines_from_rois, "rois")}[kind]
    source = read(tmp_path / "out" / where, files)
    again = measure(files, tmp_path / kind, source, MeasurementSettings())
    assert {entry["frame_rows"] for entry in again.record["images"]} == {98}
    assert again.summary.kept == first.summary.kept < len(first.table)
    assert again.summary.distribution.d50 == pytest.approx(first.summary.distribution.d50)
    assert any("measured only in rows 0 to 98 of the file" in warning for warning in again.record["warnings"])
    declared = MeasurementSettings(pixel_size=PixelSize(7.0), calibration_factor=1.1)
    measure_images(images, tmp_path / "declared", BrightSource(), declared, options=RunOptions(rois=True))
    notes = "\n".join(read(tmp_path / "declared" / where, files).notes)
    assert "give --pixel-size: 7.0 nm" in notes
    assert "give --calibration-factor: 1.1" in notes
    smaller = measure(files, tmp_path / "smaller", source, MeasurementSettings(crop_rows=60))
    assert {entry["frame_rows"] for entry in smaller.record["images"]} == {68}


@pytest.mark.parametrize(("below", "is_told"), [(0, True), (12, True), (20, False)])
def test_outlines_drawn_without_the_bar_at_the_top_lie_where_they_were_drawn(tmp_path, below, is_told):
    """With bars of equal height it cannot be told which one is missing."""
    grey = scene(0)
    labels = cv2.connectedComponents((grey > 128).astype(np.uint8), connectivity=4)[1]
    bars = [np.full((rows, SHAPE[1]), 40, np.uint8) for rows in (20, below)]
    path = write_zeiss(tmp_path / "in" / "a.tif", np.vstack([bars[0], grey, bars[1]]))
    (tmp_path / "labels").mkdir()
    drawn = np.vstack([labels, np.zeros((below, SHAPE[1]), labels.dtype)]) if below == 12 else labels
    tifffile.imwrite(tmp_path / "labels" / "a.tif", drawn.astype(np.uint16))
    files, settings = find_images([path], tmp_path / "out"), MeasurementSettings(crop_top=20, crop_rows=below)
    source = outlines_from_labels(tmp_path / "labels", files)
    if not is_told:
        with pytest.raises(InputError, match="which rows were annotated is not known"):
            measure(files, tmp_path / "out", source, settings)
        return
    done = measure(files, tmp_path / "out", source, settings)
    right = measure_images([write_zeiss(tmp_path / "whole.tif", grey)], tmp_path / "right", BrightSource())
    np.testing.assert_allclose(done.table["y_px"], right.table["y_px"] + 20)
    np.testing.assert_array_equal(done.table["area_px"], right.table["area_px"])
    assert any("without their highest 20 rows" in warning for warning in done.record["warnings"])


def test_a_length_to_look_for_makes_the_pixel_size_decide_what_is_found(tmp_path):
    class Looking(BrightSource):
        diameter = "50nm"

        def as_record(self):
            return {**super().as_record(), "diameter": self.diameter}

    class InPixels(Looking):
        diameter = "25px"

    images, other = write_scenes(tmp_path / "in", 1), MeasurementSettings(pixel_size=PixelSize(7.0))
    measure_images(images, tmp_path / "nm", Looking())
    with pytest.raises(OutputError, match="pixel_size_nm"):
        measure_images(images, tmp_path / "nm", Looking(), other)
    measure_images(images, tmp_path / "px", InPixels())
    measure_images(images, tmp_path / "px", InPixels(), other)


def test_the_unit_is_that_of_the_images_also_where_none_of_these_has_a_particle(tmp_path):
    write_zeiss(tmp_path / "in" / "a.tif", np.full(SHAPE, 40, np.uint8))
    write_zeiss(tmp_path / "in" / "b.tif", scene(0), None)
    done = measure_images([tmp_path / "in"], tmp_path / "out", BrightSource())
    assert (done.summary.unit, done.summary.kept) == ("nm", 0)
    assert any("no pixel size is known for 1 of 2 images" in warning for warning in done.record["warnings"])
    record, table = read_measurement(done.folder)
    assert summarise(record, table).unit == "nm"


def test_few_given_states_are_said_to_leave_out_all_others(tmp_path):
    images = write_scenes(tmp_path / "in", 1)
    (tmp_path / "states.csv").write_text("image,id,state\nscan 0.tif,2,complete", encoding="utf-8")
    done = measure_images(
        images, tmp_path / "out", BrightSource(), MeasurementSettings(states_file=tmp_path / "states.csv")
    )
    assert any("THE RESULT IS OF ONLY 1 PARTICLES" in warning for warning in done.record["warnings"])


def test_states_by_hand_decide_what_the_distribution_is_of(tmp_path):
    images = write_scenes(tmp_path / "in", 1)
    plain = measure_images(images, tmp_path / "plain", BrightSource())
    kept = plain.table["id"][plain.table["excluded"] == ""]
    states = tmp_path / "states.csv"
    lines = ["image;id;state", f"scan 0.tif;{kept[0]};Isolated", f"scan 0.tif;{kept[1]};touch complete"]
    states.write_text("\n".join([*lines, f"scan 0.tif;{kept[2]};masked", "scan 0.tif;99;masked"]), encoding="utf-8")
    done = measure_images(images, tmp_path / "out", BrightSource(), MeasurementSettings(states_file=states))
    assert done.summary.quantity == "fully imaged particles"
    assert done.summary.kept == 2
    assert done.summary.rest.count == 1
    reasons = dict(zip(done.table["id"], done.table["excluded"], strict=True))
    assert [reasons[number] for number in kept] == ["", "", "not fully imaged", "state unknown"]
    assert any("of no particle that was measured: scan 0.tif: 99" in line for line in done.record["warnings"])
    record, table = read_measurement(done.folder)
    assert summarise(record, table).numbers() == done.record["results"]


def test_attack_an_image_s_name_is_no_formula_in_a_table_and_still_names_its_image(tmp_path):
    name = "=1+1;=2.tif"
    image = write_zeiss(tmp_path / "in" / name, scene())
    done = measure_images([image], tmp_path / "out", BrightSource())
    lines = (done.folder / "particles.csv").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("'=1+1;'=2.tif,") for line in lines[1:])
    record, table = read_measurement(done.folder)
    assert set(table["image"]) == {name} == {entry.image for entry in record.images}
    (tmp_path / "states.csv").write_text("image,id,state\n'=1+1;'=2.tif,1,isolated\n=1+1;=2.tif,2,masked\n")
    again = measure_images(
        [image], tmp_path / "again", BrightSource(), MeasurementSettings(states_file=tmp_path / "states.csv")
    )
    assert again.table["state"][:3].tolist() == ["isolated", "masked", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,id\na,1", "lacks the column state"),
        ("image,id,state\na,x,masked", "line 2: the id 'x' is no whole number"),
        ("image,id,state\na,1,splendid", "line 2: 'splendid' is no state"),
        ("image,id,state\na,1,masked\na,1,complete", "line 3: particle 1 of a is masked in an earlier line, and comp"),
    ],
)
def test_a_states_file_that_makes_no_sense_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "states.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        measure_images(
            write_scenes(tmp_path, 1), tmp_path / "out", BrightSource(),
            MeasurementSettings(states_file=tmp_path / "states.csv"),
        )  # fmt: skip


def test_no_particles_still_make_a_report_that_says_so(tmp_path):
    images = [write_zeiss(tmp_path / f"black {n}.tif", np.zeros(SHAPE, np.uint8)) for n in range(2)]
    done = measure_images(images, tmp_path / "out", BrightSource(), options=RunOptions(xlsx=True, rois=True))
    assert done.summary.kept == 0
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "No size distribution" in html
    assert any("no particle was found in 2 images" in line for line in done.record["warnings"])
    assert any("hold the same image" in line for line in done.record["warnings"])
    record, table = read_measurement(done.folder)
    assert len(table) == 0
    assert summarise(record, table).numbers() == done.record["results"]


def test_images_without_outlines_are_left_out_and_said(tmp_path):
    images = write_scenes(tmp_path / "in", 2)
    (tmp_path / "labels").mkdir()
    labels = cv2.connectedComponents((scene(0) > 128).astype(np.uint8), connectivity=4)[1]
    cv2.imwrite(str(tmp_path / "labels" / "scan 0.png"), labels.astype(np.uint16))
    source = outlines_from_labels(tmp_path / "labels", find_images(images, tmp_path / "out"))
    done = measure_images(images, tmp_path / "out", source)
    assert list(done.skipped) == ["scan 1.tif"]
    assert "no outlines for this image" in done.skipped["scan 1.tif"]
    assert len(done.table) == 6
