"""The visibility network as `semsize` asks for it: config and weights in, a function and thresholds out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

import tio2.models  # noqa: F401 - registers the network
from semsize.measuring import InputError
from semsize.measuring.inputs import VisibilityRequest
from semsize.structures.files import file_sha256
from semsize.visibility.record import record_path
from semsize.visibility.seeing import Calibration
from semsize.visibility.states import FittedThresholds, Thresholds
from tio2.models.visibility import fold_norms
from tio2.visibility_source import open_visibility

CONFIGS = Path(__file__).parents[1] / "configs" / "tio2"
CONFIG = CONFIGS / "visibility_free.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    register_all_modules()
    torch.manual_seed(0)
    net = MODELS.build(Config.fromfile(CONFIG).model)
    net.set_thresholds(FittedThresholds(Thresholds(0.91, 0.35), 0.0, 1.0, 1))
    path = tmp_path_factory.mktemp("weights") / "epoch_1.pth"
    torch.save({"state_dict": net.state_dict(), "meta": {}}, path)
    return path


def test_it_answers_and_brings_its_thresholds(weights):
    opened = open_visibility(VisibilityRequest(CONFIG, weights)).open(1, Calibration())
    model = opened.answers
    crops = np.random.default_rng(0).uniform(0, 1, (3, 4, 64, 64)).astype(np.float32)
    answers = model(crops)
    assert len(answers) == 3
    np.testing.assert_allclose(answers.fractions.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(model(crops[1:]).is_particle, answers.is_particle[1:], rtol=1e-3)
    assert opened.thresholds == Thresholds(0.91, 0.35)


def test_norms_folded_into_convolutions_give_the_same_answers():
    torch.manual_seed(1)
    net = MODELS.build(Config.fromfile(CONFIG).model).eval()
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
        (lambda w: VisibilityRequest(CONFIGS / "light_free.py", w), "is of no visibility network"),
        (lambda w: VisibilityRequest(CONFIGS / "none.py", w), "does not exist; check --visibility"),
        (lambda _: VisibilityRequest(CONFIG, Path("none.pth")), "none.pth does not exist"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_named_in_one_line(weights, request_of, message):
    with pytest.raises(InputError, match=message) as error:
        open_visibility(request_of(weights)).as_record()
    assert "\n" not in str(error.value)
