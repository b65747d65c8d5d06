"""The extractor gives upstream's features in any memory layout, and leaves other cases to MMCV."""

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from tio2.models.cpu.roi_align import DenseRoIExtractor

STRIDES = [4, 8, 16, 32]


def extractors(**settings):
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0, **settings}
    return [kind(layer, 6, STRIDES) for kind in (SingleRoIExtractor, DenseRoIExtractor)]


def scene(count=60):
    generator = torch.Generator().manual_seed(1)
    maps = tuple(torch.randn(2, 6, 256 // stride, 320 // stride, generator=generator) for stride in STRIDES)
    low = torch.rand(count, 2, generator=generator) * 200
    logarithms = torch.rand(count, 1, generator=generator) * 9 + torch.rand(count, 2, generator=generator)
    side = 2**logarithms  # 1 to 1024 px: every level
    image = torch.arange(count)[:, None] % 2
    return maps, torch.cat([image, low, low + side], dim=1)


@pytest.mark.parametrize("settings", [{}, {"sampling_ratio": 2}, {"pool_mode": "max"}, {"aligned": False}])
@pytest.mark.parametrize("factor", [None, 1.3])
def test_features_are_upstream_s(settings, factor):
    stock, dense = extractors(**settings)
    maps, rois = scene()
    assert len(dense.map_roi_levels(rois, 4).unique()) == 4
    expected = stock(maps, rois, factor)
    by_pixel = tuple(each.contiguous(memory_format=torch.channels_last) for each in maps)
    for features in (maps, by_pixel):
        torch.testing.assert_close(dense(features, rois, factor), expected, rtol=1e-4, atol=1e-4)


def test_no_roi_gives_no_features_and_one_map_is_enough():
    stock, dense = extractors()
    maps, rois = scene()
    assert dense(maps, rois[:0]).shape == (0, 6, 7, 7)
    torch.testing.assert_close(dense(maps[:1], rois), stock(maps[:1], rois), rtol=1e-4, atol=1e-4)


def test_there_is_nothing_to_load():
    assert not extractors()[1].state_dict()
