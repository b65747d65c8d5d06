"""The visibility model as `semsize` opens it: config and weights, or an archive, as a function and thresholds."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

import tio2.models  # noqa: F401 - registers the network
from semsize.detecting.archive import ENDING, ModelArchive, VisibilityCard, read_archive, write_archive
from semsize.detecting.models import SHIPPED
from semsize.measuring import InputError
from semsize.measuring.archived_visibility import open_visibility as open_archive
from semsize.measuring.inputs import VisibilityRequest
from semsize.structures.files import file_sha256
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import Calibration
from semsize.visibility.record import record_path
from semsize.visibility.states import FittedThresholds, StateThresholds
from tio2.engine import ConfigError
from tio2.exporting import archive_of, quantised
from tio2.models.visibility import fold_norms
from tio2.visibility_source import open_visibility

CONFIGS = Path(__file__).parents[1] / "configs" / "tio2"
CONFIG = CONFIGS / "visibility_free.py"


THRESHOLDS = StateThresholds(0.91, 0.35)


def crops_of(count):
    """Crops of squares at random."""
    patches = np.random.default_rng(count).uniform(0, 1, (count, 4, 4, 4)).astype(np.float32)
    crops = np.kron(patches, np.ones((16, 16), np.float32))
    crops[:, 0] *= 255
    return crops


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of random answers that are far apart, in half precision, as a checkpoint that ships has them."""
    register_all_modules()
    torch.manual_seed(0)
    net = MODELS.build(Config.fromfile(CONFIG).model)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    net.answers.weight.data *= 20
    net([torch.from_numpy(crops_of(64))])  # the norms' statistics are those of such crops
    for values in net.parameters():
        values.data = values.data.half().float()
    net.set_thresholds(FittedThresholds(THRESHOLDS, 0.0, 1.0, 1))
    path = tmp_path_factory.mktemp("weights") / "epoch_1.pth"
    torch.save({"state_dict": net.state_dict(), "meta": {}}, path)
    return path


@pytest.fixture(scope="module")
def archive(weights):
    """The same weights as an archive beside them."""
    path = weights.with_suffix(ENDING)
    write_archive(path, archive_of(Config.fromfile(CONFIG), weights, "for tests"))
    return path


def test_it_answers_and_brings_its_thresholds(weights):
    opened = open_visibility(VisibilityRequest(CONFIG, weights)).open(1, Calibration())
    model = opened.answers
    crops = np.random.default_rng(0).uniform(0, 1, (3, 4, 64, 64)).astype(np.float32)
    answers = model(crops)
    assert len(answers) == 3
    np.testing.assert_allclose(answers.fractions.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(model(crops[1:]).is_particle, answers.is_particle[1:], rtol=1e-3)
    assert opened.thresholds == THRESHOLDS


@pytest.mark.parametrize("count", [0, 1, 33])
def test_an_archive_answers_as_its_weights_do_on_torch(weights, archive, tmp_path, count):
    config = tmp_path / "float32.py"
    config.write_text(f"_base_ = {str(CONFIG)!r}\nmodel = {{'precision': 'float32'}}\n")
    sources = open_visibility(VisibilityRequest(config, weights)), open_archive(VisibilityRequest.of([archive]))
    on_torch, on_onnx = (source.open(1, Calibration()) for source in sources)
    expected, found = (opened.answers(crops_of(count)) for opened in (on_torch, on_onnx))
    assert len(found) == count
    for field in fields(CropAnswers):
        ours, theirs = (getattr(answers, field.name) for answers in (found, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=field.name)
        if count > 1:
            assert np.std(theirs, axis=0).max() > 1e-2, field.name
    assert on_onnx.thresholds == on_torch.thresholds == THRESHOLDS


def test_an_archive_s_record_is_that_of_its_weights_but_for_the_engine(weights, archive):
    ours = open_archive(VisibilityRequest.of([archive])).as_record()
    theirs = open_visibility(VisibilityRequest(CONFIG, weights)).as_record()
    assert (ours["engine"], ours["precision"], ours["licence"]) == ("onnx", "float32", "for tests")
    for name in ("sha256", "config_sha256", "device", "thresholds"):
        assert ours[name] == theirs[name]
    assert ours["archive_sha256"] == file_sha256(archive)
    assert archive.stat().st_size < 0.6 * weights.stat().st_size, "weights in half precision"


def test_a_graph_that_answers_otherwise_is_refused_in_one_line(archive, tmp_path):
    """A stranger's: of fewer bins, and with other inputs."""
    held = read_archive(archive, VisibilityCard)
    model = onnx.load_from_string(held.graphs["answers"])
    for change, message in ((rows_fewer, "fractions of 2 crops must be"), (renamed, "has other inputs or outputs")):
        strange = onnx.ModelProto()
        strange.CopyFrom(model)
        change(strange.graph)
        graphs = {"answers": strange.SerializeToString()}
        path = tmp_path / "strange.semsize"
        write_archive(path, ModelArchive(held.card, graphs))
        with pytest.raises(InputError, match=message) as error:
            open_archive(VisibilityRequest.of([path])).open(1, Calibration()).answers(
                np.zeros((2, 4, 64, 64), np.float32)
            )
        assert "\n" not in str(error.value)


def rows_fewer(graph):
    """`whole` in the place of `fractions`, and the other way round."""
    names = {"fractions": "whole", "whole": "fractions"}
    for node in graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    for output in graph.output:
        output.type.tensor_type.shape.Clear()


def renamed(graph):
    graph.input[0].name = "images"
    for node in graph.node:
        node.input[:] = ["images" if name == "crops" else name for name in node.input]


def test_norms_folded_into_convolutions_give_the_same_answers():
    torch.manual_seed(1)
    net = MODELS.build({**Config.fromfile(CONFIG).model, "precision": "float32"}).eval()
    crops = torch.rand(4, 4, 64, 64)
    for norm in net.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
    with torch.inference_mode():
        before = net([crops], mode="tensor")
        fold_norms(net)
        after = net([crops], mode="tensor")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, rtol=1e-4, atol=1e-4)


def test_its_record_names_weights_and_licence(weights):
    record = open_visibility(VisibilityRequest(CONFIG, weights)).as_record()
    assert record["sha256"] == file_sha256(weights)
    assert "licence not known" in record["licence"]
    assert record["engine"] == "torch"
    assert record["precision"] in ("float32", "bfloat16")


def test_a_damaged_record_beside_the_weights_is_refused_in_one_line(weights):
    file = record_path(weights)
    file.write_text('{"records": [{}]}')
    try:
        with pytest.raises(InputError, match="make it again with tools/validate") as error:
            _ = open_visibility(VisibilityRequest(CONFIG, weights)).records
        assert "\n" not in str(error.value)
    finally:
        file.unlink()
    assert open_visibility(VisibilityRequest(CONFIG, weights)).records == ()


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        (lambda w: VisibilityRequest(CONFIGS / "light_free.py", w), "describes no visibility model"),
        (lambda w: VisibilityRequest(CONFIGS / "none.py", w), "does not exist; check --visibility"),
        (lambda _: VisibilityRequest(CONFIG, Path("none.pth")), "none.pth does not exist"),
        (lambda w: VisibilityRequest(model=w), "the engine torch reads no archive"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_named_in_one_line(weights, request_of, message):
    with pytest.raises(InputError, match=message) as error:
        open_visibility(request_of(weights)).as_record()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        (lambda w: VisibilityRequest(CONFIG, w), "takes a model archive, not --visibility CONFIG WEIGHTS"),
        (lambda _: VisibilityRequest(model=Path("none.semsize")), "none.semsize does not exist; check --visibility"),
        (lambda w: VisibilityRequest(model=w), "this is no model that can be used"),
        (lambda _: VisibilityRequest(model=SHIPPED["free"].archive), "archive of a detector .--model., not of a vis"),
        (lambda w: VisibilityRequest(model=w, device="cuda:0"), "computes on a CPU, not on --device cuda:0"),
    ],
)
def test_what_is_no_archive_of_a_visibility_model_is_named_in_one_line(weights, request_of, message):
    with pytest.raises(InputError, match=message) as error:
        open_archive(request_of(weights))
    assert "\n" not in str(error.value)


def test_int8_is_for_detectors(archive):
    with pytest.raises(ConfigError, match="--int8 is for detectors"):
        quantised(read_archive(archive, VisibilityCard), [])
