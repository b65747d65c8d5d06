"""The requested precision reaches the layers; predictions stay float32."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from scenes import disks
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.engine import LossScalingOptimWrapper
from tio2.models import detector
from tio2.models.detector import precision_of

LAYERS = ("backbone.stem.relu", "rpn_head.rpn_cls", "roi_head.bbox_head.fc_cls", "roi_head.mask_head.convs.0")


def with_precision(precision):
    def edit(config):
        config.type, config.precision = "DenseMaskRCNN", precision

    return edit


def with_truth(batch):
    """The batch's upper left quarters, every one with two discs as its truth: float16 is slow on a CPU."""
    batch["inputs"] = [image[:, :96, :128] for image in batch["inputs"]]
    masks = disks((96, 128), [(40, 30), (60, 90)], [15, 20])
    for sample in batch["data_samples"]:
        sample.set_metainfo({"ori_shape": (48, 64), "img_shape": (96, 128)})
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(masks.boxes),
            labels=torch.zeros(2, dtype=torch.long),
            masks=InstanceCroppedMasks(masks),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    return batch


def losses_and_types(model, batch):
    """Sum of the losses, and in which type each of LAYERS computed."""
    types = {}
    for name in LAYERS:
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: types.update({name: out.dtype})  # returns None: the output stays
        )
    model.train()
    torch.manual_seed(5)
    losses = model(**model.data_preprocessor(with_truth(batch), True), mode="loss")
    total, parts = model.parse_losses(losses)
    total.backward()
    assert {value.dtype for value in parts.values()} == {torch.float32}
    return total.item(), types


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.02), ("float16", 0.005)])
def test_layers_compute_in_it_and_losses_are_those_of_float32(build_model, batch, precision, tolerance):
    exact, exact_types = losses_and_types(build_model(with_precision("float32")), batch)
    model = build_model(with_precision(precision))
    with torch.autocast("cpu", torch.bfloat16):  # the model alone decides
        reduced, reduced_types = losses_and_types(model, batch)
    assert model.precision_name == precision
    assert exact_types == dict.fromkeys(LAYERS, torch.float32)
    assert reduced_types == dict.fromkeys(LAYERS, getattr(torch, precision))
    assert reduced == pytest.approx(exact, rel=tolerance)
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_float32_stays_float32_under_others_autocast(build_model, batch):
    with torch.autocast("cpu", torch.bfloat16):
        _, types = losses_and_types(build_model(with_precision("float32")), batch)
    assert types == dict.fromkeys(LAYERS, torch.float32)


@pytest.mark.parametrize("fast", [False, True])
def test_where_bfloat16_is_slow_only_a_gpu_that_is_asked_takes_float16(monkeypatch, fast):
    monkeypatch.setattr(detector, "bfloat16_is_fast", lambda _: fast)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    found = {(device.type, wanted): detector.precision_on(device, wanted)
             for device in (cpu, gpu) for wanted in ("auto", "mixed", "float32", "bfloat16", "float16")}  # fmt: skip
    of_hardware = "bfloat16" if fast else "float32"
    expected = {(device, name): name for device in ("cpu", "cuda") for name in ("float32", "bfloat16", "float16")}
    expected |= {("cpu", "auto"): of_hardware, ("cuda", "auto"): of_hardware, ("cpu", "mixed"): of_hardware}
    assert found == {**expected, ("cuda", "mixed"): "bfloat16" if fast else "float16"}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_predictions_are_float32(build_model, batch, precision):
    model = build_model(with_precision(precision)).eval()
    with torch.inference_mode():
        found = [sample.pred_instances for sample in model.test_step(with_truth(batch))]
    assert {each.bboxes.dtype for each in found} | {each.scores.dtype for each in found} == {torch.float32}
    assert all(len(each.masks) == len(each) for each in found)


def test_an_unknown_precision_is_refused(build_model):
    with pytest.raises(
        ValueError, match=r"model\.precision is 'half': set it to one of auto, mixed, float32, bfloat16, float16"
    ):
        build_model(with_precision("half"))


@pytest.mark.parametrize(
    ("model", "fast", "expected"),
    [
        ({"type": "DenseMaskRCNN"}, True, "bfloat16"),
        ({"type": "DenseMaskRCNN"}, False, "float32"),
        ({"type": "DenseMaskRCNN", "precision": "bfloat16"}, False, "bfloat16"),
        ({"type": "DenseMaskRCNN", "precision": "float32"}, True, "float32"),
        ({"type": "MaskRCNN"}, True, "float32"),
    ],
)
def test_the_precision_that_a_validation_is_bound_to_is_the_one_computed_in(monkeypatch, model, fast, expected):
    monkeypatch.setattr("tio2.models.detector.bfloat16_is_fast", lambda _: fast)
    assert precision_of(ConfigDict(model), "cpu") == expected


def trained(build_model, batch, precision):
    """What three steps change in the weights, (parameters,), and the wrapper they were taken by."""
    model = build_model(with_precision(precision)).train()
    before = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002)
    wrapper = LossScalingOptimWrapper(optimizer, clip_grad={"max_norm": 5.0})
    wrapper.scaler = torch.amp.GradScaler("cpu", init_scale=64.0)  # from 65536 on it would leave out the first steps
    for step in range(3):
        torch.manual_seed(step)
        model.train_step(with_truth(copy.deepcopy(batch)), wrapper)
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach() - before, wrapper


def test_the_detector_learns_the_same_in_each_precision_and_its_loss_is_scaled_in_float16_alone(build_model, batch):
    exact, wrapper = trained(build_model, batch, "float32")
    assert (wrapper.scale, wrapper.steps_left_out) == (1.0, 0)
    for precision, likeness in (
        ("bfloat16", 0.5),
        ("float16", 0.8),
    ):  # other proposals come first, other RoIs are drawn
        changed, wrapper = trained(build_model, batch, precision)
        assert torch.nn.functional.cosine_similarity(changed, exact, dim=0) > likeness
        assert (wrapper.scale > 1) is (precision == "float16")
        assert ("loss_scaler" in wrapper.state_dict()) is (precision == "float16")
