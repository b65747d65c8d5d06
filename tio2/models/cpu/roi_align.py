"""RoIAlign on a CPU as weighted sums of rows: MMCV's features up to rounding, 10 to 20 times as fast.

Each cell of a RoI's output is the mean of bilinear samples of a feature map, and every sample reads four pixels. MMCV
reads them channel by channel, far apart in memory, and reads a pixel again for each sample next to it. Here the
weights of all samples on a pixel are added before it is read. Samples lie on a grid, so a pixel's weight in a cell is
the product of a weight along x and one along y. With the map as a table, a row of channels per pixel, an output cell is
a weighted sum of a few rows, which `embedding_bag` computes with vector instructions. The gradient is the transposed
sum: for each pixel a weighted sum over the output cells to which it contributes.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

ENTRIES_PER_BATCH = 2**18  # pairs of an output cell and a pixel in it: 2 MB of indices and weights


@MODELS.register_module()
class DenseRoIExtractor(SingleRoIExtractor):
    """SingleRoIExtractor that on a CPU computes RoIAlign by `roi_align`; maps may come in any memory layout.

    MMCV computes RoIAlign on other devices, and with settings other than MMDetection's usual ones (`sampling_ratio=0`,
    mean, `aligned`).
    """

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Return the features (R, C, S_h, S_w) of RoIs.

        Args:
            feats: Maps (N, C, H, W), one per stride.
            rois: (R, 5), index of the image and xyxy in its pixels.
            roi_scale_factor: Enlarge RoIs by this factor about their centres, after their maps are chosen.
        """
        layers = self.roi_layers[: len(feats)]
        if rois.device.type != "cpu" or not all(map(_is_usual, layers)):
            return super().forward(tuple(level.contiguous() for level in feats), rois, roi_scale_factor)
        levels = self.map_roi_levels(rois, len(feats))
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        return roi_align(feats, rois, levels, tuple(layer.spatial_scale for layer in layers), layers[0].output_size)


def _is_usual(layer: torch.nn.Module) -> bool:
    return isinstance(layer, RoIAlign) and (layer.sampling_ratio, layer.pool_mode, layer.aligned) == (0, "avg", True)


class WeightedPixels(NamedTuple):
    """Pixels and weights of the outputs of n RoIs: each of n * cells outputs is a weighted sum of K pixels of a map."""

    level: int  # which feature map
    rois: Tensor  # (n,) int64, which RoIs
    pixels: Tensor  # (n * cells, K) int32, rows of the map's table
    weights: Tensor  # (n * cells, K)


def roi_align(
    features: tuple[Tensor, ...], rois: Tensor, levels: Tensor, scales: tuple[float, ...], output_size: tuple[int, int]
) -> Tensor:
    """Return the features of RoIs, each from one map: MMCV's RoIAlign with `aligned`, mean and `sampling_ratio=0`.

    A sample more than a pixel outside the map counts as zero, a nearer one as the map's edge. A RoI without extent
    gives zeros.

    Args:
        features: Maps, each (N, C, H, W); fastest if in channels-last layout.
        rois: (R, 5) float, index of the image and xyxy in pixels of the image.
        levels: (R,) int64, index of the map of each RoI.
        scales: Pixels of each map per pixel of the image.
        output_size: (S_h, S_w) cells.

    Returns:
        (R, C, S_h, S_w) in channels-last layout, float32 or the features' type if that is wider.

    Source: He et al., Mask R-CNN, ICCV 2017, section 3, https://arxiv.org/abs/1703.06870; half-pixel shift: MMCV.
    """
    dtype = torch.promote_types(features[0].dtype, torch.float32)
    channels = features[0].shape[1]
    tables = [level.to(dtype).permute(0, 2, 3, 1).reshape(-1, channels) for level in features]  # (N H W, C)
    shapes = [level.shape[-2:] for level in features]
    height, width = output_size
    sums = _RowSums.apply(
        weighted_pixels(rois.to(dtype), levels, scales, shapes, output_size), len(rois), height * width, *tables
    )
    return sums.view(len(rois), height, width, channels).permute(0, 3, 1, 2)


def weighted_pixels(
    rois: Tensor,
    levels: Tensor,
    scales: Iterable[float],
    map_shapes: Iterable[tuple[int, int]],
    output_size: tuple[int, int],
) -> Iterator[WeightedPixels]:
    """Yield pixels and weights of all output cells, in batches of RoIs with equal numbers of samples per cell.

    Arguments are `roi_align`'s; `map_shapes` are (H, W). Each RoI is in one batch, RoIs without extent in none.
    """
    for level, (scale, (height, width)) in enumerate(zip(scales, map_shapes, strict=True)):
        chosen = (levels == level).nonzero()[:, 0]
        corners = rois[chosen, 1:] * scale - 0.5
        extents = corners[:, 2:] - corners[:, :2]
        samples = (extents / extents.new_tensor(output_size[::-1])).ceil().long()  # (n, 2) per cell, x and y
        for count_x, count_y in samples.unique(dim=0).tolist():
            if count_x <= 0 or count_y <= 0:
                continue
            group = (samples == samples.new_tensor([count_x, count_y])).all(dim=1).nonzero()[:, 0]
            entries = (count_x + 1) * (count_y + 1) * output_size[0] * output_size[1]
            for part in group.split(max(1, ENTRIES_PER_BATCH // entries)):
                x, weight_x = axis_weights(corners[part, 0], extents[part, 0], output_size[1], count_x, width)
                y, weight_y = axis_weights(corners[part, 1], extents[part, 1], output_size[0], count_y, height)
                row = rois[chosen[part], 0].int()[:, None, None] * height + y  # (n, S_h, K_y), of all images' rows
                pixels = (row * width)[:, :, None, :, None] + x[:, None, :, None, :]  # (n, S_h, S_w, K_y, K_x)
                weights = weight_y[:, :, None, :, None] * weight_x[:, None, :, None, :]
                ends = -1, x.shape[2] * y.shape[2]
                yield WeightedPixels(level, chosen[part], pixels.view(ends), weights.view(ends))


def axis_weights(start: Tensor, extent: Tensor, cells: int, samples: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the pixels along one axis that contribute to each cell of n RoIs, and their weights.

    Args:
        start: (n,) where the RoIs begin, 0 being the first pixel's centre.
        extent: (n,) their lengths in pixels.
        cells: Cells per RoI.
        samples: Samples per cell, at most a pixel apart, so that they touch at most `samples + 1` pixels.
        size: Pixels of the map along the axis.

    Returns:
        (n, cells, K) int32 pixels and (n, cells, K) weights, K being the smaller of `samples + 1` and `size`.
    """
    bins = (extent / cells)[:, None, None]
    cell = torch.arange(cells, dtype=start.dtype)[:, None]
    step = torch.arange(samples, dtype=start.dtype) + 0.5
    position = start[:, None, None] + cell * bins + step * bins / samples  # (n, cells, samples)
    inside = (position >= -1) & (position <= size)
    position.clamp_(0, size - 1)
    reach = min(samples + 1, size)
    first = position[..., 0].floor().clamp_(max=size - reach)
    pixels = first[..., None] + torch.arange(reach, dtype=start.dtype)  # (n, cells, K)
    shares = (1 - (position[..., None] - pixels[..., None, :]).abs_()).clamp_(min=0)  # (n, cells, samples, K)
    return pixels.int(), (shares * inside[..., None]).sum(dim=2) / samples


class _RowSums(Function):
    """Weighted sums of rows of tables, (R, cells, C), differentiable in the tables."""

    @staticmethod
    def forward(ctx: Any, batches: Iterable[WeightedPixels], count: int, cells: int, *tables: Tensor) -> Tensor:
        """Sum rows of tables (N H W, C) for `count` RoIs of `cells` cells each."""
        sums = tables[0].new_zeros(count, cells, tables[0].shape[1])
        ctx.rows = [len(table) for table in tables]
        ctx.batches = []
        for batch in batches:
            table = tables[batch.level].detach()
            rows = F.embedding_bag(batch.pixels, table, per_sample_weights=batch.weights, mode="sum")
            sums[batch.rois] = rows.view(-1, cells, table.shape[1])
            if any(ctx.needs_input_grad):
                ctx.batches.append(batch)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tables; None for a table that no RoI uses."""
        gradients = (
            _transposed([batch for batch in ctx.batches if batch.level == level], gradient, rows)
            for level, rows in enumerate(ctx.rows)
        )
        return None, None, None, *gradients


def _transposed(batches: list[WeightedPixels], gradient: Tensor, rows: int) -> Tensor | None:
    """Return a table's gradient: for each row the outputs' gradients (R, cells, C), summed with the row's weights."""
    if not batches:
        return None
    cells = torch.arange(gradient.shape[1])
    outputs = [
        (batch.rois[:, None] * len(cells) + cells).int().view(-1, 1).expand_as(batch.pixels) for batch in batches
    ]
    pixels, order = torch.cat([batch.pixels.flatten() for batch in batches]).sort(stable=True)
    first = torch.searchsorted(pixels, torch.arange(rows, dtype=torch.int32), out_int32=True)  # (rows,), in the order
    return F.embedding_bag(
        torch.cat([each.flatten() for each in outputs])[order],
        gradient.reshape(-1, gradient.shape[-1]).contiguous(),
        first,
        per_sample_weights=torch.cat([batch.weights.flatten() for batch in batches])[order],
        mode="sum",
    )
