"""The visibility model answers with `CropAnswers`, and unknown truth teaches it nothing."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from semsize.visibility.model import CropAnswers
from semsize.visibility.states import BINS, FittedThresholds, StateThresholds, class_probabilities, fraction_bins
from tio2.models import VisibilityNet
from tio2.models.visibility import TRUTH_FIELDS, normalised

FIELDS = ("fractions", "is_particle", "whole", "size_ratios")


@pytest.fixture
def net():
    torch.manual_seed(0)
    return VisibilityNet(precision="float32").eval()


def crops(count, seed=0):
    drawn = torch.rand(count, 4, 64, 64, generator=torch.Generator().manual_seed(seed))
    drawn[:, 0] *= 255
    drawn[:, 3] = (drawn[:, 3] > 0.9).float()
    return drawn


def samples(count, **known):
    """One image's sample, nothing known but what is named."""
    unknown = {
        "is_particle": torch.full((count,), torch.nan),
        "fraction_bin": torch.full((count,), -1),
        "visibility_class": torch.full((count,), -1),
        "whole": torch.zeros(count, 64, 64),
        "whole_is_known": torch.zeros(count, dtype=torch.bool),
        "log_sizes": torch.full((count, 3), torch.nan),
    }
    assert tuple(unknown) == TRUTH_FIELDS
    sample = DetDataSample()
    sample.gt_instances = InstanceData(**(unknown | known))
    return [sample]


def test_it_is_small(net):
    assert 1e5 < sum(weight.numel() for weight in net.parameters()) < 1.6e5


def test_answers_are_probabilities_and_ascending_quantiles_each_image_its_own(net):
    inputs = [crops(3), crops(0), crops(2, seed=1)]
    with torch.no_grad():
        out = net(inputs, [DetDataSample() for _ in inputs], mode="predict")
        alone = net(inputs[2:], [DetDataSample()], mode="predict")[0].pred_instances
    answers = [CropAnswers(*(sample.pred_instances[name].numpy() for name in FIELDS)) for sample in out]
    assert [len(one) for one in answers] == [3, 0, 2]
    joined = CropAnswers.cat(answers)
    np.testing.assert_allclose(joined.fractions.sum(axis=1), 1, rtol=1e-5)
    assert ((joined.whole >= 0) & (joined.whole <= 1)).all()
    assert (np.diff(joined.size_ratios, axis=2) > 0).all()
    for name in FIELDS:
        torch.testing.assert_close(out[2].pred_instances[name], alone[name], rtol=1e-4, atol=1e-5)


def test_brightness_and_contrast_of_an_image_change_nothing_but_the_floor_of_contrast():
    one = crops(2)
    other = one.clone()
    other[:, 0] = 0.5 * one[:, 0] + 40
    first, second = normalised(one)[:, 0], normalised(other)[:, 0]
    torch.testing.assert_close(first, second * (73.6 / 81.6) * (44.8 / 36.8), rtol=0.05, atol=0.02)
    np.testing.assert_allclose(first[one[:, 3] == 1], 0)


def test_what_is_not_known_adds_no_loss_and_moves_no_weight(net):
    losses = net([crops(4)], samples(4), mode="loss")
    total, _ = net.parse_losses(losses)
    total.backward()
    assert total == 0
    assert not any(weight.grad is not None and weight.grad.any() for weight in net.parameters())


def test_losses_are_of_the_known_ones_alone(net):
    bins = torch.tensor([5, -1, 49, -1])
    some = net([crops(4)], samples(4, fraction_bin=bins), mode="loss")
    kept = net([crops(4)[bins >= 0]], samples(2, fraction_bin=bins[bins >= 0]), mode="loss")
    for name, loss in some.items():
        torch.testing.assert_close(loss, kept[name])


def test_the_loss_of_a_given_state_is_that_of_its_class_by_the_fitted_thresholds(net):
    fitted = FittedThresholds(StateThresholds(0.913, 0.37), lapse_rate=0.06, agreement=1.0, particles=1)
    net.set_thresholds(fitted)
    given = torch.tensor([0, 1, 2])
    loss = net([crops(3)], samples(3, visibility_class=given), mode="loss")["loss_state"]
    with torch.no_grad():
        logits = net([crops(3)])["fraction"]
    classes = class_probabilities(logits.softmax(1).double().numpy(), fitted.thresholds)
    mixed = (1 - 0.06) * classes[np.arange(3), given.numpy()] + 0.06 / 3
    assert loss.item() == pytest.approx(-np.log(mixed).mean(), rel=1e-4)
    again = VisibilityNet()
    again.load_state_dict(net.state_dict())
    assert again.thresholds.tolist() == [0.913, 0.37]


def test_a_state_is_not_taught_where_the_fraction_is_known(net):
    both = samples(2, visibility_class=torch.tensor([0, 1]), fraction_bin=torch.from_numpy(fraction_bins([1.0, 0.5])))
    losses = net([crops(2)], both, mode="loss")
    assert losses["loss_state"] == 0
    assert losses["loss_fraction"] > 0


def test_pixels_beyond_the_frame_are_not_judged(net):
    inside = crops(1)
    inside[:, 3] = 0
    inside[:, 3, :, :20] = 1
    truth = torch.zeros(1, 64, 64)
    other = truth.clone()
    other[:, :, :20] = 1
    known = torch.ones(1, dtype=torch.bool)
    losses = [net([inside], samples(1, whole=one, whole_is_known=known), mode="loss") for one in (truth, other)]
    torch.testing.assert_close(losses[0]["loss_whole"], losses[1]["loss_whole"])


def test_it_learns_eight_crops_by_heart():
    torch.manual_seed(0)
    net = VisibilityNet(precision="float32")
    inputs, rng = crops(8), np.random.default_rng(0)
    fractions = rng.uniform(0, 1, 8)
    truth = samples(
        8,
        fraction_bin=torch.from_numpy(fraction_bins(fractions)),
        is_particle=torch.arange(8) % 2 * 1.0,
        log_sizes=torch.from_numpy(rng.uniform(0, 0.5, (8, 3))).float(),
        whole=(inputs[:, 1] > 0.5).float(),
        whole_is_known=torch.ones(8, dtype=torch.bool),
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(60):
        total, _ = net.parse_losses(net([inputs], truth, mode="loss"))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    found = net([inputs])
    assert (found["fraction"].argmax(1) == truth[0].gt_instances.fraction_bin).all()
    assert ((found["particle"] > 0) == (truth[0].gt_instances.is_particle == 1)).all()
    assert found["fraction"].shape[1] == BINS
