"""The visibility model's network: it predicts visible fraction, whole outline and sizes of the particle in a crop.

A small U-Net on the crops of `semsize.visibility.crops`, whose coarser maps are added to the finer ones. The finest
maps give the whole outline. The coarsest maps, averaged over the crop and over the given outline, and the whole
outline's area give the distribution of the visible fraction, the probability that the outline is a particle, and the
sizes of the whole particle. Truth that is not known adds nothing to the losses.

Legend: K crops of all images of a batch.
"""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from semsize.structures.states import VISIBILITY_CLASSES
from semsize.visibility.crops import CHANNELS
from semsize.visibility.model import QUANTILES
from semsize.visibility.states import BINS, FittedThresholds, StateThresholds
from semsize.visibility.truth import SIZES
from tio2.models.detector import Precision, computing_in, precision_on

GREY, OWN, BEYOND = (CHANNELS.index(name) for name in ("grey", "own", "beyond"))
TRUTH_FIELDS = ("is_particle", "fraction_bin", "visibility_class", "whole", "whole_is_known", "log_sizes")
"""Fields of `gt_instances` that training reads."""

COARSE_STRIDE = 8
"""Pixels of a crop per pixel of the coarsest maps."""

MAPS = (24, 40, 64)
"""Channels of the maps of 32, 16 and 8 px."""

FEATURES = 64
"""Width of the hidden layer between the averaged maps and the answers."""

LOSS_WEIGHTS = {"fraction": 1.0, "state": 1.0, "particle": 1.0, "whole": 4.0, "sizes": 10.0}

LEAST_CONTRAST = 8.0
"""Grey levels added to a crop's standard deviation, so that the noise of a flat crop is not amplified."""


@MODELS.register_module()
class VisibilityNet(BaseModel):
    """Network from crops, one per particle, to the fields of `semsize.visibility.model.CropAnswers`.

    People's states divide the visible fraction at other thresholds than the rule of rendered truth does.
    `set_thresholds` stores people's thresholds with the weights.

    Args:
        precision: See `tio2.models.detector.Precision`.
        data_preprocessor: MMEngine's; it brings crops to the device.
    """

    def __init__(self, precision: Precision = "auto", data_preprocessor: dict | None = None):
        super().__init__(data_preprocessor=data_preprocessor)
        self.precision = precision
        first, second, third = MAPS
        self.stem = _block(len(CHANNELS), first, stride=2)
        self.fine = _block(first, first)
        self.middle = nn.Sequential(_block(first, second, stride=2), _block(second, second))
        self.coarse = nn.Sequential(_block(second, third, stride=2), _block(third, third))
        self.from_coarse, self.to_middle = nn.Conv2d(third, second, 1), _block(second, second)
        self.from_middle, self.to_fine = nn.Conv2d(second, first, 1), _block(first, first)
        self.outline = nn.Sequential(nn.Conv2d(first, 4, 1), nn.PixelShuffle(2))
        self.own_weight = nn.Parameter(torch.tensor(3.0))  # logit of a pixel of the outline before anything is learnt
        self.described = nn.Sequential(nn.Linear(2 * third + 1, FEATURES), nn.ReLU(inplace=True))
        self.answers = nn.Linear(FEATURES, BINS + 1 + len(SIZES) * len(QUANTILES))
        rule = StateThresholds()
        self.register_buffer("thresholds", torch.tensor([rule.complete, rule.masked], dtype=torch.float64))
        self.register_buffer("lapse_rate", torch.tensor(0.0, dtype=torch.float64))

    @property
    def precision_name(self) -> str:
        """Type in which the model computes on the device of its weights: `float32`, `bfloat16` or `float16`."""
        return precision_on(self.own_weight.device, self.precision)

    def set_thresholds(self, fitted: FittedThresholds) -> None:
        """Store the thresholds by which people gave states, and the share of states that they gave at random."""
        complete, masked = fitted.thresholds.complete, fitted.thresholds.masked
        self.thresholds.copy_(torch.tensor([complete, masked], dtype=torch.float64))
        self.lapse_rate.fill_(fitted.lapse_rate)

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[DetDataSample] | None = None, mode="tensor"):
        """Return losses, data samples with `pred_instances`, or raw answers, as MMEngine's models do.

        Args:
            inputs: Crops of each image, (k, 4, 64, 64) float32.
            data_samples: A sample for each image; in training its `gt_instances` are those of `PackOutlineCrops`.
            mode: `loss`, `predict` or `tensor`.
        """
        crops = torch.cat(list(inputs))
        with computing_in(self.precision_name, crops.device.type):
            answers = self._answers(crops)
        if mode == "loss":
            truths = [sample.gt_instances for sample in data_samples]
            joined = {name: torch.cat([truth[name] for truth in truths]) for name in TRUTH_FIELDS}
            return self.losses(crops, answers, InstanceData(**joined))
        if mode == "predict":
            return self._with_predictions(data_samples, answers, [len(part) for part in inputs])
        return answers

    def _answers(self, crops: Tensor) -> dict[str, Tensor]:
        """Compute the raw answers, float32.

        Returns:
            Logits of the bins of the `fraction` (K, BINS), of being a `particle` (K,) and of the pixels of the `whole`
            outline (K, 64, 64); `log_sizes` (K, 3, 3), logarithms of the size ratios, quantiles ascending.
        """
        inputs = normalised(crops).contiguous(memory_format=torch.channels_last)
        fine = self.fine(self.stem(inputs))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        upper = self.to_middle(_doubled(self.from_coarse(coarse)) + middle)
        upper = self.to_fine(_doubled(self.from_middle(upper)) + fine)
        whole = self.outline(upper)[:, 0].float() + self.own_weight * (2 * crops[:, OWN] - 1)
        own = functional.avg_pool2d(crops[:, OWN : OWN + 1], COARSE_STRIDE)
        own_area = own.sum((2, 3)).clamp(min=1e-3)
        over_own = (coarse * own).sum((2, 3)) / own_area
        whole_area = functional.avg_pool2d(whole.detach().sigmoid()[:, None], COARSE_STRIDE).sum((1, 2, 3))
        described = torch.cat([coarse.mean((2, 3)), over_own, (whole_area[:, None] / own_area).log()], 1)
        numbers = self.answers(self.described(described)).float()
        fraction, particle, sizes = numbers.split([BINS, 1, len(SIZES) * len(QUANTILES)], dim=1)
        low, middle_one, high = sizes.view(-1, len(SIZES), len(QUANTILES)).unbind(2)
        spread = functional.softplus(torch.stack([low, high], 2) - 2)  # > 0, so that quantiles ascend
        log_sizes = torch.stack([middle_one - spread[..., 0], middle_one, middle_one + spread[..., 1]], 2)
        return {"fraction": fraction, "particle": particle[:, 0], "whole": whole, "log_sizes": log_sizes}

    def losses(self, crops: Tensor, answers: dict[str, Tensor], truth: InstanceData) -> dict[str, Tensor]:
        """Return the losses, each a mean over the particles with known truth for it, 0 if there are none."""
        cross_entropy = functional.binary_cross_entropy_with_logits
        whole, bins = truth.whole_is_known, truth.fraction_bin >= 0
        classes = ~bins & (truth.visibility_class >= 0)
        particle, sizes = ~truth.is_particle.isnan(), ~truth.log_sizes.isnan().any(1)
        of_pixels = cross_entropy(answers["whole"][whole], truth.whole[whole], reduction="none")
        inside = 1 - crops[whole, BEYOND]
        losses = {
            "fraction": functional.cross_entropy(answers["fraction"][bins], truth.fraction_bin[bins], reduction="none"),
            "state": self._state_loss(answers["fraction"][classes], truth.visibility_class[classes]),
            "particle": cross_entropy(answers["particle"][particle], truth.is_particle[particle], reduction="none"),
            "whole": (of_pixels * inside).mean((1, 2)),
            "sizes": _pinball(answers["log_sizes"][sizes], truth.log_sizes[sizes]),
        }
        return {f"loss_{name}": LOSS_WEIGHTS[name] * _mean(values) for name, values in losses.items()}

    def _state_loss(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Return (k,) negative log probabilities of the class that a person gave, by the stored thresholds."""
        ends = torch.arange(BINS, device=logits.device)
        shares = (self.thresholds[:, None] * BINS - ends).clamp(0, 1).to(logits.dtype)  # of a bin below a threshold
        below_complete, below_masked = (logits.softmax(1) @ shares.T).unbind(1)
        probabilities = torch.stack([1 - below_complete, below_complete - below_masked, below_masked], 1)
        lapse = self.lapse_rate.to(logits.dtype)
        mixed = (1 - lapse) * probabilities + lapse / len(VISIBILITY_CLASSES)
        return -mixed.gather(1, classes[:, None])[:, 0].clamp(min=1e-6).log()

    def _with_predictions(
        self, samples: Sequence[DetDataSample], answers: dict[str, Tensor], counts: Sequence[int]
    ) -> list[DetDataSample]:
        """Add to each sample `pred_instances` with the fields of `CropAnswers`, and people's thresholds."""
        parts = {name: values.split(list(counts)) for name, values in probabilities(answers).items()}
        for place, sample in enumerate(samples):
            sample.pred_instances = InstanceData(**{name: of_image[place] for name, of_image in parts.items()})
            sample.set_metainfo({"thresholds": tuple(self.thresholds.tolist())})
        return list(samples)


class AnswersGraph(nn.Module):
    """Module whose graph an archive holds: from crops (K, 4, 64, 64) to the fields of `CropAnswers`, float32."""

    def __init__(self, net: VisibilityNet):
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Compute the fields of `CropAnswers`, in their order."""
        return tuple(probabilities(self.net._answers(crops)).values())


def probabilities(answers: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn raw answers into the fields of `CropAnswers`, in their order."""
    return {
        "fractions": answers["fraction"].softmax(1),
        "is_particle": answers["particle"].sigmoid(),
        "whole": answers["whole"].sigmoid(),
        "size_ratios": answers["log_sizes"].exp(),
    }


def fold_norms(net: nn.Module) -> None:
    """Fold the norms of a trained network's blocks into their convolutions, in place: a fifth less time, same answers.

    The network must be in `eval` mode; its weights no longer fit a checkpoint.
    """
    for block in net.modules():
        if isinstance(block, nn.Sequential) and len(block) > 1 and isinstance(block[1], nn.BatchNorm2d):
            block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()


def normalised(crops: Tensor) -> Tensor:
    """Shift and scale the grey levels of crops (K, 4, 64, 64) to mean 0 and about unit spread within the image."""
    inside = 1 - crops[:, BEYOND]
    pixels = inside.sum((1, 2), keepdim=True).clamp(min=1)
    grey = crops[:, GREY]
    mean = (grey * inside).sum((1, 2), keepdim=True) / pixels
    centred = (grey - mean) * inside
    spread = ((centred**2).sum((1, 2), keepdim=True) / pixels).sqrt() + LEAST_CONTRAST
    return torch.cat([(centred / spread)[:, None], crops[:, OWN:]], 1)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2, mode="nearest")


def _pinball(found: Tensor, true: Tensor) -> Tensor:
    """Return the mean quantile loss (k,) of predicted quantiles (k, 3, 3) of true values (k, 3)."""
    levels = found.new_tensor(QUANTILES)
    beyond = true[..., None] - found
    return torch.maximum(levels * beyond, (levels - 1) * beyond).mean((1, 2))


def _mean(values: Tensor) -> Tensor:
    """Return the mean of (k,) losses; 0, with a gradient of 0, if there are none."""
    return values.sum() / max(len(values), 1)
