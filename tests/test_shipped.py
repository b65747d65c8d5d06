"""The files of the shipped models are here and match their checksums."""

import dataclasses

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

import semsize
from semsize.detecting.archive import read_archive
from semsize.detecting.models import SHIPPED, VISIBILITY
from semsize.measuring import archived_model, measure_images
from semsize.measuring.archived_model import MOST_SHIPPED_BYTES
from semsize.measuring.engines import bias_records_beside
from semsize.measuring.inputs import OPERATING_SCORE, DetectorRequest, MeasurementSettings, VisibilityRequest
from semsize.measuring.predicted_states import (
    OutlinesWithStates,
    differences,
    find_visibility_model,
    with_requested_states,
)
from semsize.metrology import ModelUse
from semsize.metrology.bias_record import nearest_record
from semsize.structures.files import file_sha256
from tio2.detector_source import open_detector, resolved_sha256
from tio2.visibility_source import open_visibility


@pytest.mark.parametrize("name", SHIPPED)
def test_every_model_is_here_with_card_checksum_and_licence(name):
    model = SHIPPED[name]
    checkpoint = model.checkpoint
    assert model.config.is_file()
    assert checkpoint.with_suffix(".md").is_file()
    stated = checkpoint.with_name(f"{checkpoint.name}.sha256").read_text(encoding="utf-8").split()[0]
    assert file_sha256(checkpoint) == stated
    assert model.licence
    source, _ = open_detector(DetectorRequest(name))
    assert (source.config, source.checkpoint, source.licence) == (model.config, model.checkpoint, model.licence)
    if model.archive.is_file():
        card = read_archive(model.archive).card
        assert card.weights_sha256 == stated, "make it again: tools/archive_model.sh"
        assert card.config_sha256 == resolved_sha256(Config.fromfile(model.config)), "make it again"
        assert card.licence == model.licence
        digest = model.archive.with_name(f"{model.archive.name}.sha256").read_text(encoding="utf-8").split()[0]
        assert file_sha256(model.archive) == digest
        assert model.archive.stat().st_size <= MOST_SHIPPED_BYTES
        archived, records = archived_model.open_detector(DetectorRequest(name))
        use = archived.use
        assert nearest_record(records, use, OPERATING_SCORE).differences(use, OPERATING_SCORE) == ()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SHIPPED)
def test_the_records_of_a_shipped_model_hold_for_it_as_it_is_used(name, precision):
    source, records = open_detector(DetectorRequest(name))
    assert records == bias_records_beside(source.checkpoint)
    here = source.as_record()["model"]
    assert here["precision"] in ("float32", "bfloat16")
    use = ModelUse.from_json({**here, "precision": precision})
    record = nearest_record(records, use, OPERATING_SCORE)
    assert record.differences(use, OPERATING_SCORE) == ()
    assert record.checkpoint == source.checkpoint.name
    assert all(one.standard_error > 0 for one in record.occlusion)
    tiled = dataclasses.replace(source, tile=(512, 128)).as_record()["model"]
    assert record.differences(ModelUse.from_json({**tiled, "precision": precision}), OPERATING_SCORE) == (
        "tile is [512, 128], validated off",
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", VISIBILITY)
def test_every_visibility_model_is_here_with_records_that_hold_behind_its_detector(name, precision):
    shipped = VISIBILITY[name]
    stated = shipped.checkpoint.with_name(f"{shipped.checkpoint.name}.sha256").read_text(encoding="utf-8").split()[0]
    assert file_sha256(shipped.checkpoint) == stated
    assert shipped.checkpoint.with_suffix(".md").is_file()
    behind = open_detector(DetectorRequest(name))[0].as_record()
    model = find_visibility_model(VisibilityRequest(engine="torch"), behind)
    assert model == open_visibility(VisibilityRequest(shipped.config, shipped.checkpoint)), "the one that ships for it"
    assert model.as_record()["licence"] == shipped.licence
    detector = ModelUse.from_json({**behind["model"], "precision": precision})
    use = stated, "torch", precision, detector, OPERATING_SCORE
    assert any(not record.differences(*use) for record in model.records)


@pytest.mark.parametrize("name", VISIBILITY)
def test_the_archive_of_a_visibility_model_is_of_its_weights_with_records_that_hold_behind_its_detector(name):
    shipped = VISIBILITY[name]
    digest = shipped.archive.with_name(f"{shipped.archive.name}.sha256").read_text(encoding="utf-8").split()[0]
    assert file_sha256(shipped.archive) == digest
    assert shipped.archive.stat().st_size <= MOST_SHIPPED_BYTES
    behind = archived_model.open_detector(DetectorRequest(name))[0].as_record()
    model = find_visibility_model(VisibilityRequest(engine="onnx"), behind)
    use = model.as_record()
    assert use["sha256"] == file_sha256(shipped.checkpoint), "make it again: tools/archive_model.sh visibility_…"
    assert use["config_sha256"] == resolved_sha256(Config.fromfile(shipped.config)), "make it again"
    assert use["licence"] == shipped.licence
    here = use["sha256"], use["engine"], use["precision"], ModelUse.from_json(behind["model"]), OPERATING_SCORE
    assert any(not record.differences(*here) for record in model.records)


@pytest.mark.parametrize("name", SHIPPED)
def test_states_are_predicted_by_default_behind_a_detector_that_ships(name, tmp_path):
    source, _ = archived_model.open_detector(DetectorRequest(name))
    request = VisibilityRequest(engine="onnx")
    for settings, is_validated in ((MeasurementSettings(), True), (MeasurementSettings(score=0.6), False)):
        seen = with_requested_states(source, settings, request)
        assert seen.source is source
        assert (not differences(seen.nearest_record(), seen.as_record())) == is_validated
    by_file = MeasurementSettings(states_file=tmp_path / "states.csv")
    for settings in (MeasurementSettings(states="given"), MeasurementSettings(states="none"), by_file):
        assert with_requested_states(source, settings, request) is source
    others = dataclasses.replace(source, card=dataclasses.replace(source.card, weights_sha256="0" * 64))
    assert with_requested_states(others, MeasurementSettings(), request) is others
    assert isinstance(
        with_requested_states(others, MeasurementSettings(states="predicted"), request), OutlinesWithStates
    )


def test_outlines_of_no_shipped_detector_get_the_visibility_model_that_is_free():
    model = find_visibility_model(VisibilityRequest(engine="onnx"), {"kind": "COCO"})
    assert model.as_record()["licence"] == SHIPPED["free"].licence


def test_the_first_model_is_the_default():
    assert open_detector(DetectorRequest())[0] == open_detector(DetectorRequest("nc"))[0]


def test_the_package_offers_the_measurement_and_nothing_that_is_not_there():
    assert semsize.measure is measure_images
    with pytest.raises(AttributeError, match="no attribute 'measure_pictures'"):
        _ = semsize.measure_pictures


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_of_before_the_configs_were_renamed_fit_the_config_tensor_by_tensor(name):
    register_all_modules()
    model = MODELS.build(Config.fromfile(SHIPPED[name].config).model)
    weights = torch.load(SHIPPED[name].checkpoint, weights_only=True)["state_dict"]
    assert {key: value.shape for key, value in weights.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
