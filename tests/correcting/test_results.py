"""A results folder under correction: outlines that count, `corrections.json`, scale bars, files that are read."""

import doctest
import json
import os
import shutil

import numpy as np
import pytest
import tifffile
from measured_scenes import scene

import semsize.correcting.drawn_scale
from semsize.correcting import CorrectionError, picture_files
from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.results import CorrectedResults
from semsize.correcting.session import Session
from semsize.correcting.shapes import ellipse_mask
from semsize.structures import read_annotations


def edited(results):
    """Image 1 with one outline deleted, one redrawn, one no particle, one added and one of a low score accepted."""
    image = results.images[0]
    with results.open_log(image, results.detected(image)) as log:
        state = log.corrections
        log.apply(state.delete([1]))
        log.apply(state.mark([2, 3], is_particle=True))
        log.apply(state.mark([3], is_particle=False))
        log.apply(state.add(ellipse_mask((20, 100), (6, 9), state.image_shape, 20), "complete"))
        return state


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_detected_outlines_have_the_ids_of_the_table_and_count_from_the_score_of_the_measurement_on(results):
    image = results.images[0]
    result = results.detected(image)
    state = results.corrected(image)
    assert sorted(state.outlines) == list(range(1, 7))
    assert results.counted(state, result.scores) == [1, 3, 5]
    state = edited(results)
    assert results.counted(state, result.scores) == [2, 5, 7]
    assert results.corrected(image) == state


def test_corrections_stand_beside_the_measurement_and_change_none_of_its_files(results):
    before = snapshot(results.folder)
    edited(results)
    results.keep_scale(results.images[1], DrawnScale((0.0, 0.0, 100.0, 0.0), 400.0, 1.0))
    results.write_annotations()
    after = snapshot(results.folder)
    assert {path: after[path] for path in before} == before
    new = {path.relative_to(results.folder).parts[0] for path in after.keys() - before.keys()}
    assert new == {"corrections", "corrections.json"}


def test_corrections_json_holds_what_counts_and_its_pixel_sizes(results):
    state = edited(results)
    results.keep_scale(results.images[1], DrawnScale((0.0, 0.0, 100.0, 0.0), 400.0, 1.0))
    data = read_annotations(results.write_annotations())
    assert [(image["file_name"], image["pixel_size_nm"]) for image in data["images"]] == [
        ("a.tif", 5),
        ("sub/b.tif", 4),
    ]
    first = [one for one in data["annotations"] if one["image_id"] == 1]
    assert [one["segmentation"] for one in first] == [state.rle(number) for number in (2, 5, 7)]
    assert [one["state"] for one in first] == [None, None, "complete"]
    assert [one["id"] for one in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
    assert data["info"]["operations"] == 4


def killed_after(results, number, change):
    """Leave what a program does that was killed after a change, minutes after `corrections.json` was written."""
    for path in results.folder.rglob("*"):
        os.utime(path, ns=(path.stat().st_mtime_ns - 10**11,) * 2)
    session = Session(results)
    session.open(number, "page")
    change(session)
    for opened in session._opened.values():
        opened.log.close()  # as the system does


def test_what_a_killed_program_kept_is_in_corrections_json_after_the_next_one_without_a_change(results):
    def annotations():
        return read_annotations(results.folder / "corrections.json")

    def next_one():
        session = Session(CorrectedResults(results.folder))
        session.open(2, "page")
        session.close()

    scale = {"ends": [[0, 0], [100, 0]], "length": "400 nm", "reach": 1}
    killed_after(results, 1, lambda session: session.edit(1, "page", {"kind": "delete", "ids": [1]}))
    assert not (results.folder / "corrections.json").exists()
    next_one()
    assert annotations()["info"]["operations"] == 1
    killed_after(results, 1, lambda session: session.edit(1, "page", {"kind": "delete", "ids": [3]}))
    next_one()
    assert annotations()["info"]["operations"] == 2
    killed_after(results, 2, lambda session: session.keep_scale(2, "page", scale))
    next_one()
    assert annotations()["images"][1]["pixel_size_nm"] == 4
    for kept in (results.folder / "corrections").iterdir():
        os.utime(kept, ns=(0, 0))
    assert not results.is_outdated()


def test_a_calibration_is_not_in_corrections_json_twice(results):
    record = json.loads((results.folder / "record.json").read_text(encoding="utf-8"))
    record["settings"]["calibration_factor"] = 1.25
    record["images"][0]["pixel_size_nm"] *= 1.25
    (results.folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    data = read_annotations(CorrectedResults(results.folder).write_annotations())
    assert data["images"][0]["pixel_size_nm"] == pytest.approx(5)


def test_the_picture_is_that_which_was_measured(results):
    assert (results.grey(results.images[0]) == scene(0)).all()
    assert (results.grey(results.images[1]) == scene(1)).all()


def opened(results, root):
    return CorrectedResults(results.folder, [root])


def test_images_that_moved_are_found_below_a_folder_by_name_and_contents(results, measured_once, tmp_path):
    shutil.copytree(measured_once / "scans", tmp_path / "moved")
    assert (opened(results, tmp_path / "moved").grey(results.images[1]) == scene(1)).all()
    tifffile.imwrite(tmp_path / "moved" / "a.tif", np.zeros((128, 200), np.uint8))
    with pytest.raises(CorrectionError, match=r"a\.tif: its file is another"):
        opened(results, tmp_path / "moved").grey(results.images[0])


def test_no_file_is_read_but_below_the_folders_named_and_no_link_is_followed(results, measured_once, tmp_path):
    (tmp_path / "here" / "sub").mkdir(parents=True)
    os.symlink(measured_once / "scans" / "a.tif", tmp_path / "here" / "a.tif")
    os.symlink(measured_once / "scans" / "sub", tmp_path / "linked")
    for root in (tmp_path / "here", tmp_path / "here" / ".." / "here"):
        with pytest.raises(CorrectionError, match="--images"):
            opened(results, root).grey(results.images[0])
    os.symlink(measured_once / "scans", tmp_path / "named by its user")
    assert opened(results, tmp_path / "named by its user").grey(results.images[0]).any()
    with pytest.raises(CorrectionError, match="--images"):
        CorrectedResults(results.folder).grey(results.images[0])


def test_images_in_other_folders_below_are_found_by_name_and_renamed_ones_by_contents(results, measured_once, tmp_path):
    deep = tmp_path / "archive" / "2024" / "day 3"
    shutil.copytree(measured_once / "scans", deep)
    assert (opened(results, tmp_path / "archive").grey(results.images[0]) == scene(0)).all()
    (deep / "a.tif").rename(deep / "renamed.TIF")
    (deep / "sub" / "b.tif").rename(deep / "sub" / "a.tif")  # the other one under its name
    found = opened(results, tmp_path / "archive")
    assert [found.picture_file(image).name for image in found.images] == ["renamed.TIF", "a.tif"]
    (deep / "renamed.TIF").rename(tmp_path / "archive" / ".hidden.tif")
    with pytest.raises(CorrectionError, match=r"a\.tif: its file is another"):
        found.grey(found.images[0])


def test_a_search_is_bounded_and_says_so(results, measured_once, tmp_path, monkeypatch):
    shutil.copytree(measured_once / "scans", tmp_path / "moved" / "deep")
    monkeypatch.setattr(picture_files, "MOST_SEARCHED", 1)
    with pytest.raises(CorrectionError, match=r"not found among the first files below .*--images"):
        opened(results, tmp_path / "moved").grey(results.images[0])
    monkeypatch.setattr(picture_files, "MOST_SEARCHED", 20)
    monkeypatch.setattr(picture_files, "MOST_HASHED_BYTES", 10)
    for number in range(30):
        (tmp_path / "moved" / f"{number:02}.tif").write_bytes(b"another")
    (tmp_path / "moved" / "deep" / "a.tif").rename(tmp_path / "moved" / "x.tif")
    with pytest.raises(CorrectionError, match="the first files"):
        opened(results, tmp_path / "moved").grey(results.images[0])


def relatively(results, path):
    """The results with a path of the first image as the record of a measurement from another folder has it."""
    record = json.loads((results.folder / "record.json").read_text(encoding="utf-8"))
    record["images"][0]["path"] = path
    (results.folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return results.folder


def test_a_relative_path_is_also_one_from_the_results_or_a_folder_above_them(results, measured_once, tmp_path):
    shutil.copy(measured_once / "scans" / "a.tif", tmp_path / "other name.png")
    folder = relatively(results, "other name.png")
    found = CorrectedResults(folder, [tmp_path])
    assert found.picture_file(found.images[0]) == tmp_path / "other name.png"
    (tmp_path / "elsewhere").mkdir()
    apart = CorrectedResults(folder, [tmp_path / "elsewhere"])
    with pytest.raises(CorrectionError, match="--images"):
        apart.picture_file(apart.images[0])


def test_a_file_found_by_its_name_is_reached_without_a_link(results, measured_once, tmp_path):
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    os.symlink(measured_once / "scans", root / "linked")
    os.symlink(measured_once / "scans" / "a.tif", root / "real" / "a.tif")
    (tmp_path / "apart" / "deeper").mkdir(parents=True)
    shutil.copy(measured_once / "scans" / "a.tif", tmp_path / "apart" / "a.tif")
    os.symlink(tmp_path / "apart" / "deeper", root / "down")
    for path in ("a.tif", str(root / "down" / ".." / "a.tif"), "root/linked/a.tif"):
        found = CorrectedResults(relatively(results, path), [root])
        with pytest.raises(CorrectionError, match="--images"):
            found.picture_file(found.images[0])
    (root / "a.tif").write_bytes(b"checked, but not what would be opened")
    found = CorrectedResults(relatively(results, str(root / "down" / ".." / "a.tif")), [root])
    with pytest.raises(CorrectionError, match="another"):
        found.picture_file(found.images[0])


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../../../../etc/passwd", "a.tif/../../../etc/passwd"])
def test_a_record_cannot_name_a_file_elsewhere(results, measured_once, path):
    record = json.loads((results.folder / "record.json").read_text(encoding="utf-8"))
    record["images"][0] |= {"path": path, "image": path}
    (results.folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    opened_anew = CorrectedResults(results.folder, [measured_once / "scans"])
    with pytest.raises(CorrectionError):
        opened_anew.grey(opened_anew.images[0])


def test_a_folder_without_a_measurement_and_a_missing_part_are_one_line_each(results, tmp_path):
    with pytest.raises(CorrectionError, match=r"no record|cannot be read"):
        CorrectedResults(tmp_path)
    for part in (results.folder / "parts").glob("a-*.json"):
        part.unlink()
    with pytest.raises(CorrectionError, match="measure again"):
        results.corrected(results.images[0])
    for number in (0, 3, True, "1", None):
        with pytest.raises(CorrectionError, match="no image"):
            results.image(number)


def test_a_scale_bar_gives_pixel_size_and_uncertainty_and_comes_back_from_its_file(results):
    scale = DrawnScale.drawn([[10, 5], [40, 45]], "0.2 um", 2)
    size = scale.pixel_size
    assert size.value_nm == pytest.approx(4)
    rng = np.random.default_rng(0)
    ends = np.array([[10, 5], [40, 45]]) + rng.uniform(-2, 2, (20_000, 2, 2))
    lengths = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    assert size.std_nm == pytest.approx(np.std(200 / lengths), rel=0.03)
    results.keep_scale(results.images[1], scale)
    assert results.scale(results.images[1]) == scale
    with pytest.raises(CorrectionError, match="is known"):
        results.keep_scale(results.images[0], scale)
    (file,) = (results.folder / "corrections").glob("*.scale.json")
    file.write_text(file.read_text().replace("200.0", '"x"'))
    with pytest.raises(CorrectionError, match="draw the bar again"):
        results.scale(results.images[1])


@pytest.mark.parametrize(
    ("ends", "length", "reach"),
    [
        ([[0, 0], [3, 0]], "200 nm", 1),
        ([[0, 0], [100, 0]], "200", 1),
        ([[0, 0], [100, 0]], "-2 nm", 1),
        ([[0, 0], [100, 0]], 200, 1),
        ([[0, 0], [100, 0]], "200 nm", 0),
        ([[0, 0], [100, 0]], "200 nm", None),
        ([[0, 0], [float("nan"), 0]], "200 nm", 1),
        ([[0, 0], [1e300, 0]], "200 nm", 1),
        ([[0, 0]], "200 nm", 1),
        ({"a": 1}, "200 nm", 1),
        ([[0, 0, 0], [1]], "200 nm", 1),
    ],
)
def test_what_is_no_scale_bar_is_refused_in_one_line(ends, length, reach):
    with pytest.raises(CorrectionError) as caught:
        DrawnScale.drawn(ends, length, reach)
    assert "\n" not in str(caught.value)


def test_examples_run():
    assert doctest.testmod(semsize.correcting.drawn_scale).failed == 0
