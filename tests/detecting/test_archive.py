"""A model archive returns what was written, and refuses foreign content."""

import hashlib
import json
import zipfile

import pytest
from jsonschema import Draft202012Validator

from semsize.detecting.archive import (
    GRAPHS,
    ArchiveError,
    DetectionSettings,
    DetectorCard,
    ModelArchive,
    Normalisation,
    ProposalSettings,
    VisibilityCard,
    read_archive,
    write_archive,
)
from semsize.programs.schema import schema

CARD = DetectorCard(
    licence="for all",
    weights_sha256="a" * 64,
    config_sha256="b" * 64,
    precision="float32",
    settings={"tile": None},
    bias_records={"records": []},
    scales=(0.75, 1.5),
    flips=("horizontal",),
    normalisation=Normalisation(127.0, 128.0, 32),
    proposals=ProposalSettings(8000, 4000, 0.7, 0.0, 0.05),
    detections=DetectionSettings(0.05, 0.5, -1, 0.5, True, False),
)


SEEN = VisibilityCard("for all", "a" * 64, "b" * 64, "float32", complete=0.9, masked=0.4)


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "model.semsize", CARD)


def written(path, card):
    write_archive(path, ModelArchive(card, {name: name.encode() * 9 for name in GRAPHS[type(card)]}))
    return path


def rewritten(file, change):
    """The archive anew after `change` to its files by name."""
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file


def edited(contents, **values):
    contents["model.json"] = json.dumps(json.loads(contents["model.json"]) | values).encode()


def within(contents, part, **values):
    edited(contents, **{part: json.loads(contents["model.json"])[part] | values})


def test_what_was_written_is_read_and_the_bytes_are_the_same_again(file, tmp_path):
    archive = read_archive(file)
    assert archive.card == CARD
    assert archive.graphs["boxes"] == b"boxes" * 9
    write_archive(tmp_path / "again", archive)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def elsewhere(contents):
    contents["boxes.onnx"] = b"\n\x08location\x12\x0b/etc/passwd"
    graphs = json.loads(contents["model.json"])["graphs"]
    edited(contents, graphs=graphs | {"boxes": hashlib.sha256(contents["boxes.onnx"]).hexdigest()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda contents: contents.update({"../x": b""}), "its files are not exactly"),
        (lambda contents: contents.pop("masks.onnx"), "its files are not exactly"),
        (lambda contents: contents.update({"masks.onnx": b"other"}), "SHA-256"),
        (elsewhere, "refers to another file"),
        (lambda contents: contents.update({"model.json": b"{"}), "no model"),
        (lambda contents: contents.update({"model.json": b"[" * 100_000}), "no model"),
        (lambda contents: edited(contents, format=2), "update semsize"),
        (lambda contents: edited(contents, scales=[0]), "scales"),
        (lambda contents: edited(contents, scales="auto"), "scales"),
        (lambda contents: edited(contents, flips=["sideways"]), "flips"),
        (lambda contents: edited(contents, weights_sha256="x"), "64 hexadecimal digits"),
        (lambda contents: edited(contents, precision="int4"), "precision must be one of float32, int8"),
        (lambda contents: edited(contents, licence=None), "licence"),
        (lambda contents: edited(contents, licence="free\nWARNING"), "licence of one line"),
        (lambda contents: edited(contents, licence="\x1b[2J"), "licence of one line"),
        (lambda contents: edited(contents, licence="free" * 1000), "licence of one line"),
        (lambda contents: within(contents, "proposals", nms_pre=2**70), "limits must be"),
        (lambda contents: within(contents, "proposals", min_score=-1), "must be 0 to 1"),
        (lambda contents: within(contents, "proposals", min_size=1e300), "min_size must"),
        (lambda contents: within(contents, "detections", max_per_img=2**70), "max_per_img must"),
        (lambda contents: within(contents, "detections", score_thr=None), "score_thr"),
        (lambda contents: within(contents, "detections", refine_boxes=1), "refine_boxes"),
        (lambda contents: within(contents, "normalisation", std=1e-300), "std from"),
        (lambda contents: within(contents, "normalisation", mean=1e300), "levels up to"),
        (lambda contents: within(contents, "normalisation", pad_to=0), "pad_to"),
        (lambda contents: edited(contents, graphs=[]), "SHA-256"),
        (lambda contents: edited(contents, bias_records=[]), "bias_records"),
        (lambda contents: edited(contents, more=1), "more"),
        (lambda contents: edited(contents, detections={}), "detections"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused_in_one_line(file, change, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        read_archive(rewritten(file, change))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_visibility_model_s_archive_is_read_as_such_alone(file, tmp_path):
    seen = written(tmp_path / "seen.semsize", SEEN)
    assert read_archive(seen, VisibilityCard).card == SEEN
    for path, kind, message in (
        (seen, DetectorCard, "archive of a visibility model .--visibility., not of a detector .--model."),
        (file, VisibilityCard, "archive of a detector .--model., not of a visibility model .--visibility."),
    ):
        with pytest.raises(ArchiveError, match=message) as caught:
            read_archive(path, kind)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda contents: contents.pop("answers.onnx"), "its files are not exactly answers.onnx, model.json"),
        (lambda contents: contents.update({"answers.onnx": b"other"}), "SHA-256"),
        (lambda contents: edited(contents, masked=0.95), "thresholds"),
        (lambda contents: edited(contents, complete=None), "complete"),
        (lambda contents: edited(contents, weights_sha256="x"), "64 hexadecimal digits"),
        (lambda contents: edited(contents, licence="free\nWARNING"), "licence of one line"),
        (lambda contents: edited(contents, scales=[1.0]), "in excess: scales"),
    ],
)
def test_what_is_not_as_it_should_be_in_a_visibility_model_s_archive_is_refused(tmp_path, change, message):
    file = rewritten(written(tmp_path / "seen.semsize", SEEN), change)
    with pytest.raises(ArchiveError, match=message) as caught:
        read_archive(file, VisibilityCard)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_unpacks_to_more_than_allowed_is_refused_before_it_is_unpacked(file, monkeypatch):
    monkeypatch.setattr("semsize.detecting.archive.MOST_BYTES", 100)
    with pytest.raises(ArchiveError, match="more than"):
        read_archive(file)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x.semsize").write_bytes(b"no zip")
    with pytest.raises(ArchiveError, match="no model"):
        read_archive(tmp_path / "x.semsize")


def test_the_cards_hold_to_their_schema(file, tmp_path):
    def card_of(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("model.json"))

    validator = Draft202012Validator(schema("archive"))
    for path, field in ((file, "scales"), (written(tmp_path / "seen.semsize", SEEN), "complete")):
        card = card_of(path)
        validator.validate(card)
        assert not validator.is_valid({**card, "format": 2})
        assert not validator.is_valid({**card, field: ["large"]})
    assert not validator.is_valid({**card_of(file), "graphs": card["graphs"]})
