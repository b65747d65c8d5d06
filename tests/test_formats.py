"""Files of every earlier version in tests/formats are still read, with the same results."""

import json
import shutil
import zipfile

import format_files
import numpy as np
import pytest
from format_files import ARCHIVE, BIAS, FOLDER, RESULTS, SEEN_ARCHIVE, STATED, WEIGHTS
from jsonschema import Draft202012Validator
from packaging.version import Version

from semsize.correcting import CorrectionError
from semsize.correcting.results import CorrectedResults
from semsize.correcting.source import CorrectedOutlines
from semsize.detecting.archive import (
    GRAPHS,
    ArchiveError,
    DetectorCard,
    ModelArchive,
    VisibilityCard,
    read_archive,
    write_archive,
)
from semsize.measuring.inputs import OutputError
from semsize.measuring.measurement import read_measurement
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.summary import summarise
from semsize.metrology.bias_record import read_bias_records
from semsize.programs.schema import NAMES, schema
from semsize.structures import read_annotations, read_predictions
from semsize.structures.files import in_json, read_json, write_json
from semsize.structures.masks import CroppedMasks
from semsize.visibility.record import read_visibility_records, record_path

NEWEST = max(FOLDER.iterdir(), key=lambda folder: Version(folder.name))


@pytest.fixture(params=sorted(FOLDER.iterdir()), ids=lambda folder: folder.name)
def kept(request, tmp_path):
    """A copy of the files of a version."""
    return shutil.copytree(request.param, tmp_path / "kept")


@pytest.fixture
def stated(kept):
    return read_json(kept / STATED, ValueError)


def stated_of(value, names):
    return in_json({name: getattr(value, name) for name in names})


def test_a_measurement(kept, stated):
    record, table = read_measurement(kept / RESULTS)
    expected = stated["record"]
    assert [image.image for image in record.images] == expected["images"]
    assert [image.pixel_size_nm for image in record.images] == expected["pixel_size_nm"]
    assert record.settings.calibration_std == expected["calibration_std"]
    assert record.outlines["model"]["sha256"] == record.validation.model.sha256 == expected["weights"]
    np.testing.assert_array_equal(table["ecd_px"], expected["ecd_px"])
    assert summarise(record, table).detected == sum(image.particles for image in record.images)


def test_predictions(kept):
    found = read_predictions(kept / RESULTS / "predictions.json")
    record, table = read_measurement(kept / RESULTS)
    assert len(found) == len(table) == sum(image.detections for image in record.images)
    shape = record.images[0].rows, record.images[0].columns
    areas = CroppedMasks.from_rles([particle["segmentation"] for particle in found], shape).areas
    np.testing.assert_array_equal(areas, table["area_px"])
    np.testing.assert_allclose([particle["score"] for particle in found], table["score"], rtol=1e-8)


def test_corrections(kept, stated):
    results = CorrectedResults(kept / RESULTS)
    assert format_files.corrected_in(results) == stated["corrections"]
    outlines = CorrectedOutlines(kept / RESULTS).as_record()
    assert outlines["kind"] == "corrections"
    assert outlines["licence"] == stated["archive"]["licence"]
    before = read_annotations(kept / RESULTS / "corrections.json")
    assert read_annotations(results.write_annotations()) == before
    assert [image["pixel_size_nm"] for image in before["images"]] == stated["corrections"]["pixel_size_nm"]


def test_a_bias_record(kept, stated):
    [record] = read_bias_records(kept / BIAS)
    assert stated_of(record, stated["bias"]) == stated["bias"]
    assert record.model.sha256 == stated["record"]["weights"]


def test_a_visibility_record(kept, stated):
    [record] = read_visibility_records(kept / WEIGHTS)
    assert stated_of(record, stated["visibility"]) == stated["visibility"]
    for intervals in record.calibration().intervals:
        assert np.isinf(intervals.high).any()


def test_a_model_archive(kept, stated):
    archive = read_archive(kept / ARCHIVE)
    assert stated_of(archive.card, stated["archive"]) == stated["archive"]
    assert archive.card.weights_sha256 == stated["record"]["weights"]
    assert archive.graphs == {name: name.encode() for name in GRAPHS[DetectorCard]}


def test_a_visibility_model_s_archive(kept, stated):
    archive = read_archive(kept / SEEN_ARCHIVE, VisibilityCard)
    assert vars(archive.card) == stated["visibility_archive"]
    assert archive.graphs == {"answers": b"answers"}


def test_what_was_written_last_holds_to_the_schemas():
    files = {name: f"{RESULTS}/{name}.json" for name in ("record", "predictions", "corrections")}
    files |= {"bias": BIAS, "visibility": record_path(WEIGHTS)}
    written = {name: read_json(NEWEST / file, ValueError) for name, file in files.items()}
    written["archive"] = model_file(NEWEST / ARCHIVE)
    assert set(written) == set(NAMES)
    for name, content in (*written.items(), ("archive", model_file(NEWEST / SEEN_ARCHIVE))):
        Draft202012Validator(schema(name)).validate(content)


def model_file(archive):
    with zipfile.ZipFile(archive) as file:
        return json.loads(file.read("model.json"))


def test_parts_of_a_later_format_are_refused(kept):
    settings = kept / RESULTS / "parts" / "settings.json"
    content = read_json(settings, ValueError)
    write_json(settings, content | {"format": content["format"] + 1})
    with pytest.raises(OutputError, match="another version of this program"):
        ResultsFolder(kept / RESULTS).claim(content)
    with pytest.raises(CorrectionError, match="another version of this program"):
        CorrectedResults(kept / RESULTS)


def test_a_log_of_a_later_format_is_refused(kept):
    results = CorrectedResults(kept / RESULTS)
    log = results.log_path(results.images[0])
    first, *lines = log.read_text(encoding="ascii").splitlines()
    header = json.loads(first)
    log.write_text("\n".join([json.dumps(header | {"format": header["format"] + 1}), *lines, ""]), encoding="ascii")
    with pytest.raises(CorrectionError, match="another version of this program"):
        results.corrected(results.images[0])


def test_a_scale_bar_of_a_later_format_is_refused(kept):
    [file] = (kept / RESULTS / "corrections").glob("*.scale.json")
    content = read_json(file, ValueError)
    write_json(file, content | {"format": content["format"] + 1})
    results = CorrectedResults(kept / RESULTS)
    with pytest.raises(CorrectionError, match="another version"):
        results.scale(results.images[1])


def test_an_archive_of_a_later_format_is_refused(kept, monkeypatch):
    archive = read_archive(kept / ARCHIVE)
    monkeypatch.setattr("semsize.detecting.archive.FORMAT", model_file(kept / ARCHIVE)["format"] + 1)
    write_archive(kept / ARCHIVE, ModelArchive(archive.card, archive.graphs))
    monkeypatch.undo()
    with pytest.raises(ArchiveError, match="update semsize"):
        read_archive(kept / ARCHIVE)
