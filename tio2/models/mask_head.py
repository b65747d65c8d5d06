"""Mask heads whose results are RLE: each mask is resampled inside its box, and nothing has the size of N frames.

Bilinear interpolation is separable: a sample at (y, x) of an S x S grid of cells is a sum over rows and columns of
cells, each weighted by a hat function max(0, 1 - |position - k|). A mask's pixels are therefore two matrix products,
`columns @ cells @ rows`. Masks of like size go into one batched product, since a batch is padded to its largest mask.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

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

from semsize.structures.rle import encode_crops
from tio2.models.heads import RoITest, settings_of

PIXELS_PER_CPU_BATCH = 2**18  # 1 MB of probabilities, so that a batch stays in the processor's cache
PIXELS_PER_GPU_BATCH = 2**22


@MODELS.register_module()
class DenseFCNMaskHead(FCNMaskHead):
    """FCNMaskHead whose `masks` are a list of COCO RLE dicts of the original image, also where there is none.

    The masks are FCNMaskHead's. With `test_cfg.rcnn.mask_scores` each score is multiplied by the mean probability of
    its mask's pixels, so that an unsure outline ranks below a sure one (maskness: Wang et al., SOLO, ECCV 2020,
    section 3.3, https://arxiv.org/abs/1912.04488), and what falls below `score_thr` is left out.
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
        """Add `masks`, N RLE dicts, to each image's results, in place; with `mask_scores` the list's items are new.

        Arguments are upstream's: per image `mask_preds` (N, classes, S, S), logits or, with `activate_map`,
        probabilities; `results_list` with `bboxes` (N, 4) in pixels of the network's input. With `rescale` boxes and
        masks are in the original image.
        """
        settings = settings_of(RoITest, rcnn_test_cfg)
        for number, (predictions, image_meta) in enumerate(zip(mask_preds, batch_img_metas, strict=True)):
            results = results_list[number]
            labels = results.labels if predictions.shape[1] > 1 else torch.zeros_like(results.labels)
            logits = predictions[torch.arange(len(labels), device=labels.device), labels]  # (N, S, S)
            if activate_map:
                logits = logits.logit()
            image_shape = _set_frame(results, image_meta, rescale)
            results.masks, certainties = paste_masks(logits, results.bboxes, image_shape, settings.mask_thr_binary)
            if settings.mask_scores:
                results.scores = results.scores * torch.from_numpy(certainties).to(results.scores)
                order = results.scores.argsort(descending=True, stable=True)
                results_list[number] = results[order[results.scores[order] >= settings.score_thr]]
        return results_list


def _set_frame(results: InstanceData, image_meta: dict[str, Any], rescale: bool) -> tuple[int, int]:
    """Bring the boxes to the frame in which the masks are wanted, in place, and return its (H, W).

    MMDetection's box branch leaves this to the mask head.
    """
    height, width = image_meta["ori_shape"][:2]
    scale_w, scale_h = image_meta.get("scale_factor", (1.0, 1.0))  # absent where no step of the pipeline resized
    if rescale:
        results.bboxes /= results.bboxes.new_tensor([scale_w, scale_h, scale_w, scale_h])
        return height, width
    return round(height * scale_h), round(width * scale_w)


@MODELS.register_module()
class HighResFCNMaskHead(DenseFCNMaskHead):
    """Mask R-CNN's head with a second transposed convolution: 14 -> 28 -> 56 cells a side.

    The second is like the first: same channels, kernel 2, stride 2, a ReLU behind it, the same initial distribution.
    `train_cfg.rcnn.mask_size` must be 56. The arguments are those of FCNMaskHead.
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
        """Initialise as upstream, the second transposed convolution like the first."""
        super().init_weights()
        nn.init.kaiming_normal_(self.upsample2.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.upsample2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Mask logits (N, classes, 4 S, 4 S) of RoI features (N, in_channels, S, S), fastest in channels-last layout.

        Behind the convolutions no cell sees its neighbours: each transposed convolution makes 2 x 2 cells of one, and
        the last layer is 1 x 1. They are therefore matrix products over cells, and only the logits are put in order.
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
    """A transposed convolution, kernel 2, stride 2, and a ReLU: (M, C) to (4 M, C'), row by row of each 2 x 2."""
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)  # (4 C', C)
    return F.linear(cells, weight, layer.bias.repeat(4)).relu_().view(-1, layer.out_channels)


class PastedBatch(NamedTuple):
    """Probabilities of B masks on the pixels of the image, each in a corner of an array as large as the largest."""

    indices: np.ndarray  # (B,) int64, which masks
    origins: np.ndarray  # (B, 2) int64, (row, column) of each mask's first pixel
    sizes: np.ndarray  # (B, 2) int64, (h, w) of each mask's region
    probabilities: Tensor  # (B, largest h, largest w), 0-1; 0 beyond the mask's own region


def paste_masks(
    logits: Tensor, boxes: Tensor, image_shape: tuple[int, int], threshold: float
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Resample masks inside their boxes and encode what reaches the threshold.

    Args:
        logits: (N, S, S) float, the mask head's output for each box's class; a sigmoid makes them probabilities.
        boxes: (N, 4) float xyxy, pixels of the image; where the S x S cells lie.
        image_shape: (H, W) of the image.
        threshold: Least probability of a particle's pixel, above 0.

    Returns:
        N COCO RLEs {'size': [H, W], 'counts': str}, empty masks included, and (N,) float32 the mean probability of each
        mask's pixels, 0 for an empty mask.

    Raises:
        ValueError: The threshold is not above 0.
    """
    if not threshold > 0:
        raise ValueError(f"mask threshold {threshold}: must be above 0; set test_cfg.rcnn.mask_thr_binary, usually 0.5")
    rles: list[dict[str, Any]] = [{}] * len(boxes)
    certainties = np.zeros(len(boxes), np.float32)
    for batch in paste_batches(logits, boxes, image_shape):
        inside = batch.probabilities >= threshold
        pixels = inside.sum(dim=(1, 2)).clamp_(min=1)
        certainties[batch.indices] = ((batch.probabilities * inside).sum(dim=(1, 2)) / pixels).cpu().numpy()
        crops = encode_crops(inside.cpu().numpy(), batch.origins, image_shape)
        for index, rle in zip(batch.indices, crops, strict=True):
            rles[index] = rle
    return rles, certainties


def paste_batches(logits: Tensor, boxes: Tensor, image_shape: tuple[int, int]) -> Iterator[PastedBatch]:
    """Resample masks (arguments of `paste_masks`) at the pixel centres of their boxes, masks of like size together.

    Beyond the outermost cells' centres a mask falls to 0 over one cell, as with `grid_sample` and zero padding, so half
    a cell lies beyond the box; up to one pixel beyond it is kept. A box without extent, not finite, or outside the
    frame gives a region of 0 pixels. Batches come in order of size; each mask is in exactly one.
    """
    pixels_per_batch = PIXELS_PER_CPU_BATCH if boxes.device.type == "cpu" else PIXELS_PER_GPU_BATCH
    origins, sizes = pixel_regions(boxes.detach().cpu().numpy(), image_shape)
    for indices in batches_of_like_size(sizes, pixels_per_batch):
        chosen = torch.from_numpy(indices).to(boxes.device)
        cells = logits[chosen].float().sigmoid_()
        probabilities = resample(cells, boxes[chosen], origins[indices], sizes[indices])
        yield PastedBatch(indices, origins[indices], sizes[indices], probabilities)


def resample(cells: Tensor, boxes: Tensor, origins: np.ndarray, sizes: np.ndarray) -> Tensor:
    """Resample B masks at pixel centres, in float32 whatever autocast says.

    Args:
        cells: (B, S, S) float32 probabilities.
        boxes: (B, 4) float xyxy, pixels of the image.
        origins: (B, 2) int64, (row, column) of each mask's first pixel.
        sizes: (B, 2) int64, (h, w) of each mask's region.

    Returns:
        (B, largest h, largest w) float32 probabilities, 0 beyond a mask's own region. Memory is in column order,
        because RLE counts down the columns.
    """
    first, extent = torch.from_numpy(origins).to(boxes), torch.from_numpy(sizes).to(boxes)
    (height, width), side = sizes.max(axis=0).tolist(), cells.shape[1]
    rows = cell_weights(cell_positions(first[:, 0], extent[:, 0], boxes[:, 1::2], height, side), side)  # (B, h, S)
    columns = cell_weights(cell_positions(first[:, 1], extent[:, 1], boxes[:, ::2], width, side), side)  # (B, w, S)
    with torch.autocast(boxes.device.type, enabled=False):
        return (columns @ cells.transpose(1, 2) @ rows.transpose(1, 2)).transpose(1, 2)


def cell_positions(first: Tensor, extent: Tensor, sides: Tensor, pixels: int, cells: int) -> Tensor:
    """Where pixel centres lie among a mask's cells along one direction, 0 being the first cell's centre.

    Args:
        first: (B,) first pixel.
        extent: (B,) number of pixels; those beyond lie far from any cell.
        sides: (B, 2) where the first cell begins and the last one ends, in pixels.
        pixels: Most pixels of the batch.
        cells: Cells per mask.

    Returns:
        (B, pixels), from -0.5 to cells - 0.5 inside the box.
    """
    low, high = sides.unbind(dim=1)
    steps = torch.arange(pixels, device=first.device, dtype=first.dtype)
    centre = first[:, None] + steps + 0.5  # (B, pixels)
    position = (centre - low[:, None]) / (high - low)[:, None] * cells - 0.5
    return torch.where(steps < extent[:, None], position, -2.0)  # two cells away from any


def cell_weights(position: Tensor, cells: int) -> Tensor:
    """Weight (B, P, cells) of each cell at positions (B, P) by linear interpolation, zeros beyond the outermost."""
    cell = torch.arange(cells, device=position.device, dtype=position.dtype)
    return (position[:, :, None] - cell).abs_().neg_().add_(1).clamp_(min=0)


def pixel_regions(boxes: np.ndarray, image_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels that a box's mask may reach: the box, rounded outwards, and one pixel around it, in the frame.

    Args:
        boxes: (N, 4) float xyxy.
        image_shape: (H, W).

    Returns:
        Origins (N, 2) as (row, column) and sizes (N, 2) as (h, w), int64; both sizes are 0 where nothing is left.
    """
    height, width = image_shape
    has_extent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(boxes).all(axis=1)
    sound = np.where(has_extent[:, None], boxes, 0)
    limit = np.array([width, height])
    first = np.clip(np.floor(sound[:, :2]) - 1, 0, limit).astype(np.int64)  # (N, 2) x, y
    end = np.clip(np.ceil(sound[:, 2:]) + 1, 0, limit).astype(np.int64)
    sizes = end - first
    sizes[~has_extent | (sizes <= 0).any(axis=1)] = 0
    return first[:, ::-1], sizes[:, ::-1]


def batches_of_like_size(sizes: np.ndarray, pixels_per_batch: int) -> Iterator[np.ndarray]:
    """Divide masks of sizes (N, 2), (h, w), into batches, largest first, and yield their (B,) int64 indices.

    A batch holds at most `pixels_per_batch`, counted as squares of its longest side, and one mask at least.
    """
    longest = sizes.max(axis=1, initial=1)
    order = np.argsort(-longest, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, pixels_per_batch // int(longest[order[start]]) ** 2)
        yield order[start : start + count]
        start += count
