"""Mask heads that draw no full-frame masks: each mask is resampled inside its box and kept as a crop.

On a CPU `semsize.detecting.pasting` draws the masks; on a GPU the same products are computed here in torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.cnn import build_upsample_layer
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from semsize.detecting import pasting
from semsize.structures.masks import CroppedMasks
from tio2.models.heads import RoITest, settings_of, with_rles

PIXELS_PER_GPU_BATCH = 2**22


@MODELS.register_module()
class DenseFCNMaskHead(FCNMaskHead):
    """FCNMaskHead whose `masks` are a list of COCO RLE dicts in the original image, also if there is no detection.

    Each mask is reduced to its largest piece, and the holes of that piece are filled (`pasting.solid_masks`). With
    `test_cfg.rcnn.mask_scores` each score is multiplied by the mean probability of its mask's pixels, so that an unsure
    outline ranks below a sure one (maskness: Wang et al., SOLO, ECCV 2020, section 3.3,
    https://arxiv.org/abs/1912.04488), and detections that then score below `score_thr` are left out.
    """

    def predict_by_feat(
        self,
        mask_preds: tuple[Tensor, ...],
        results_list: InstanceList,
        batch_img_metas: list[dict[str, Any]],
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> InstanceList:
        """Return what `draw` returns, with masks as RLE dicts; arguments are FCNMaskHead's."""
        return with_rles(
            self.draw(mask_preds, results_list, batch_img_metas, rcnn_test_cfg, rescale, activate_map=activate_map)
        )

    def draw(
        self,
        mask_preds: Sequence[Tensor],
        results_list: InstanceList,
        batch_img_metas: Sequence[dict[str, Any]],
        rcnn_test_cfg: ConfigDict,
        rescale: bool,
        *,
        activate_map: bool = False,
    ) -> InstanceList:
        """Add `masks`, `CroppedMasks`, to the results in place; `mask_scores` replaces the items, best score first.

        Args:
            mask_preds: Per image (N, classes, S, S), logits or, with `activate_map`, probabilities.
            results_list: Results with `bboxes` (N, 4) in pixels of the network's input.
            batch_img_metas: MMDetection's meta data of each image.
            rcnn_test_cfg: `test_cfg.rcnn`.
            rescale: Give boxes and masks in the original image, otherwise in the resized one.
            activate_map: See `mask_preds`.
        """
        settings = settings_of(RoITest, rcnn_test_cfg)
        for number, (predictions, image_meta) in enumerate(zip(mask_preds, batch_img_metas, strict=True)):
            results = results_list[number]
            labels = results.labels if predictions.shape[1] > 1 else torch.zeros_like(results.labels)
            logits = predictions[torch.arange(len(labels), device=labels.device), labels]  # (N, S, S)
            if activate_map:
                logits = logits.logit()
            image_shape = _set_frame(results, image_meta, rescale)
            masks, certainties = paste_masks(logits, results.bboxes, image_shape, settings.mask_thr_binary)
            if settings.mask_scores:
                results.scores = results.scores * torch.from_numpy(certainties).to(results.scores)
                order = results.scores.argsort(descending=True, stable=True)
                order = order[results.scores[order] >= (settings.score_thr or 0)]
                results_list[number], masks = results[order], masks[order.cpu().numpy()]
            results_list[number].masks = masks
        return results_list


def _set_frame(results: InstanceData, image_meta: dict[str, Any], rescale: bool) -> tuple[int, int]:
    """Scale the boxes, in place, to the frame in which masks are drawn, and return the frame's (H, W).

    MMDetection's box branch leaves this to the mask head.
    """
    height, width = image_meta["ori_shape"][:2]
    scale_w, scale_h = image_meta.get("scale_factor", (1.0, 1.0))  # absent if the pipeline does not resize
    if rescale:
        results.bboxes /= results.bboxes.new_tensor([scale_w, scale_h, scale_w, scale_h])
        return height, width
    return round(height * scale_h), round(width * scale_w)


@MODELS.register_module()
class HighResFCNMaskHead(DenseFCNMaskHead):
    """Mask R-CNN's head with a second transposed convolution: 14 -> 28 -> 56 cells a side.

    The second equals the first: same channels, kernel 2, stride 2, followed by a ReLU, same initial distribution.
    `train_cfg.rcnn.mask_size` must be 56. Arguments are FCNMaskHead's.
    """

    def __init__(
        self,
        num_convs: int = 4,
        in_channels: int = 256,
        conv_out_channels: int = 256,
        num_classes: int = 80,
        class_agnostic: bool = False,
        norm_cfg: ConfigDict | None = None,
        loss_mask: ConfigDict | None = None,
    ):
        super().__init__(
            num_convs=num_convs,
            in_channels=in_channels,
            conv_out_channels=conv_out_channels,
            num_classes=num_classes,
            class_agnostic=class_agnostic,
            norm_cfg=norm_cfg,
            loss_mask=loss_mask or {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        )
        layer = {"in_channels": conv_out_channels, "out_channels": conv_out_channels, "kernel_size": 2, "stride": 2}
        self.upsample2 = build_upsample_layer({"type": "deconv", **layer})

    def init_weights(self) -> None:
        """Initialise like FCNMaskHead, the second transposed convolution like the first."""
        super().init_weights()
        nn.init.kaiming_normal_(self.upsample2.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.upsample2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes, 4 S, 4 S) of RoI features (N, in_channels, S, S), fastest in channels-last layout.

        After the convolutions no cell depends on its neighbours: each transposed convolution turns a cell into 2 x 2
        cells, and the last layer is 1 x 1. All are matrix products over cells; only the logits are put in image order.
        """
        for conv in self.convs:
            x = conv(x)
        count, channels, height, width = x.shape
        x = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (cells, channels)
        x = _four_cells(_four_cells(x, self.upsample), self.upsample2)  # (16 cells, channels)
        logits = F.linear(x, self.conv_logits.weight.flatten(1), self.conv_logits.bias)
        classes = logits.shape[1]
        logits = logits.view(count, height, width, 2, 2, 2, 2, classes)  # ..., row and column in the 2 x 2, twice
        return logits.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(count, classes, 4 * height, 4 * width)


def _four_cells(cells: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """Apply a transposed convolution, kernel 2, stride 2, and a ReLU: (M, C) to (4 M, C'), each 2 x 2 row by row."""
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)  # (4 C', C)
    return F.linear(cells, weight, layer.bias.repeat(4)).relu_().view(-1, layer.out_channels)


def paste_masks(
    logits: Tensor, boxes: Tensor, image_shape: tuple[int, int], threshold: float
) -> tuple[CroppedMasks, np.ndarray]:
    """Resample masks inside their boxes and keep the pixels that reach the threshold.

    Same as `semsize.detecting.pasting.paste_masks`, for tensors: logits (N, S, S), boxes (N, 4).
    """
    if boxes.device.type == "cpu":
        return pasting.paste_masks(logits.float().numpy(), boxes.float().numpy(), image_shape, threshold)
    return paste_masks_in_torch(logits, boxes, image_shape, threshold)


def paste_masks_in_torch(
    logits: Tensor, boxes: Tensor, image_shape: tuple[int, int], threshold: float
) -> tuple[CroppedMasks, np.ndarray]:
    """Return what `paste_masks` returns, with matrix products on the device of the logits."""
    pasting.check_mask_threshold(threshold)
    drawn, certainties = [], np.zeros(len(boxes), np.float32)
    corners = boxes.float().cpu().numpy()
    origins, sizes = pasting.pixel_regions(corners, image_shape)
    for indices in pasting.batches_of_like_size(sizes, PIXELS_PER_GPU_BATCH):
        cells = logits[torch.from_numpy(indices).to(logits.device)].float().sigmoid_()
        positions = pasting.pixel_positions(corners[indices], origins[indices], sizes[indices], cells.shape[1])
        rows, columns = (_cell_weights(torch.from_numpy(each).to(cells), cells.shape[1]) for each in positions)
        with torch.autocast(cells.device.type, enabled=False):
            probabilities = (columns @ cells.transpose(1, 2) @ rows.transpose(1, 2)).transpose(1, 2)
        crops = pasting.solid_masks((probabilities >= threshold).cpu().numpy())
        inside = torch.from_numpy(crops).to(cells.device)
        pixels = inside.sum(dim=(1, 2)).clamp_(min=1)
        certainties[indices] = ((probabilities * inside).sum(dim=(1, 2)) / pixels).cpu().numpy()
        drawn.append((indices, CroppedMasks.from_crops(zip(crops, origins[indices], strict=True), image_shape)))
    return pasting.joined_batches(drawn, image_shape), certainties


def _cell_weights(position: Tensor, cells: int) -> Tensor:
    """Return `pasting.cell_weights` of positions (B, P), computed on their device."""
    cell = torch.arange(cells, device=position.device, dtype=position.dtype)
    return (position[:, :, None] - cell).abs_().neg_().add_(1).clamp_(min=0)
