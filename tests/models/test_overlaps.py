"""A pixel has one owner: closed forms, and what holds for any masks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semsize.structures.masks import CroppedMasks
from tio2.models.mask_pasting import ProbabilityCrops, enlarged_boxes, paste_probabilities, paste_rles
from tio2.models.overlaps import disjoint_crops

SHAPE = (40, 60)


def crops_of(*squares):
    """Squares of one probability: (row, column, side, probability)."""
    crops = [np.full((side, side), probability, np.float32) for _, _, side, probability in squares]
    origins = np.array([(row, column) for row, column, _, _ in squares], np.int64).reshape(-1, 2)
    return ProbabilityCrops(crops, origins)


def frames(kept, origins, shape=SHAPE):
    """(N, H, W) bool."""
    full = np.zeros((len(kept), *shape), bool)
    for frame, crop, (row, column) in zip(full, kept, origins, strict=True):
        frame[row : row + crop.shape[0], column : column + crop.shape[1]] = crop
    return full


@pytest.mark.parametrize(
    ("scores", "winner"), [((0.5, 0.9), 1), ((0.9, 0.5), 0), ((0.6, 0.9), 0), ((0.59, 0.9), 1), ((0.05, 0.9), 1)]
)
def test_the_larger_product_of_score_and_probability_wins(scores, winner):
    probabilities = crops_of((0, 0, 10, 0.9), (0, 5, 10, 0.6))  # they share 10 x 5; equal products go to the first
    kept = frames(disjoint_crops(probabilities, np.array(scores, np.float32), 0.5, SHAPE), probabilities.origins)
    areas = kept.sum(axis=(1, 2)).tolist()
    assert areas == ([100, 50] if winner == 0 else [50, 100])
    assert kept[winner, :10, 5:10].all()


def test_equal_discs_part_half_way():
    """Probability falls with the distance from the centre: each keeps the pixels that are nearer to its own."""
    rows, columns = np.mgrid[:40, :60] + 0.5
    centres = ((20, 24), (20, 36))
    fields = [1 / (1 + np.exp(np.hypot(rows - y, columns - x) - 10)) for y, x in centres]
    probabilities = ProbabilityCrops([field.astype(np.float32) for field in fields], np.zeros((2, 2), np.int64))
    left, right = disjoint_crops(probabilities, np.array([0.8, 0.8], np.float32), 0.5, SHAPE)
    disc = [field >= 0.5 for field in fields]
    assert np.array_equal(left, disc[0] & (columns < 30))
    assert np.array_equal(right, disc[1] & (columns > 30))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 28), st.integers(0, 48), st.integers(0, 12), st.integers(0, 2**31)), max_size=8),
    st.sampled_from([0.3, 0.5, 0.7]),
)
def test_masks_share_no_pixel_and_together_keep_every_claimed_one(squares, threshold):
    rng = np.random.default_rng(len(squares))
    crops = [np.random.default_rng(seed).random((side, side), np.float32) for _, _, side, seed in squares]
    probabilities = ProbabilityCrops(crops, np.array([s[:2] for s in squares], np.int64).reshape(-1, 2))
    scores = rng.random(len(squares)).astype(np.float32)
    before = [crop.copy() for crop in crops]
    kept = frames(disjoint_crops(probabilities, scores, threshold, SHAPE), probabilities.origins)
    claimed = frames([crop >= threshold for crop in crops], probabilities.origins)
    assert kept.sum(axis=0).max(initial=0) <= 1
    assert np.array_equal(kept.any(axis=0), claimed.any(axis=0))
    assert not (kept & ~claimed).any()
    alone = claimed.sum(axis=0) == 1
    assert np.array_equal(kept[:, alone], claimed[:, alone])
    assert all(np.array_equal(crop, old) for crop, old in zip(crops, before, strict=True))


def test_a_mask_that_loses_everything_is_empty_and_a_score_of_zero_still_claims():
    probabilities = crops_of((0, 0, 4, 0.6), (0, 0, 4, 0.9), (20, 20, 3, 0.7))
    kept = disjoint_crops(probabilities, np.array([0.5, 0.5, 0.0], np.float32), 0.5, SHAPE)
    assert [int(crop.sum()) for crop in kept] == [0, 16, 9]


def random_logits(count):
    generator = torch.Generator().manual_seed(1)
    low = torch.rand(count, 2, generator=generator) * 40
    boxes = torch.cat([low, low + 15], dim=1)
    return torch.randn(count, 28, 28, generator=generator), boxes


def test_boxes_grow_about_their_centres():
    boxes = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    assert enlarged_boxes(boxes, 1.1).tolist() == [pytest.approx([9, 18, 31, 62])]
    assert torch.equal(enlarged_boxes(boxes, 1.0), boxes)
    assert enlarged_boxes(torch.zeros(0, 4), 1.1).shape == (0, 4)


def test_the_head_s_masks_are_disjoint_and_the_rest_is_as_without():
    from mmengine.config import ConfigDict
    from mmengine.structures import InstanceData

    from tio2.models import DenseFCNMaskHead

    head = DenseFCNMaskHead(num_convs=0, in_channels=8, conv_out_channels=8, num_classes=1)
    logits, boxes = random_logits(12)
    meta = {"ori_shape": SHAPE, "scale_factor": (1.0, 1.0)}

    def masks(**options):
        results = InstanceData(
            bboxes=boxes.clone(), scores=torch.linspace(1, 0.1, 12), labels=torch.zeros(12, dtype=torch.long)
        )
        config = ConfigDict(mask_thr_binary=0.5, **options)
        (found,) = head.predict_by_feat((logits[:, None],), [results], [meta], config, rescale=True)
        assert torch.equal(found.bboxes, boxes), "boxes stay the box branch's own"
        return found.masks

    claimed, kept = CroppedMasks.from_rles(masks()), CroppedMasks.from_rles(masks(resolve_overlaps=True))
    assert claimed.to_full().sum(axis=0).max() > 1
    assert kept.to_full().sum(axis=0).max() == 1
    assert np.array_equal(kept.to_full().any(axis=0), claimed.to_full().any(axis=0))
    crops = paste_probabilities(logits, boxes, SHAPE)
    expected = frames(disjoint_crops(crops, np.linspace(1, 0.1, 12, dtype=np.float32), 0.5, SHAPE), crops.origins)
    assert np.array_equal(kept.to_full(), expected)
    assert masks(mask_box_scale=1.2) == paste_rles(logits, enlarged_boxes(boxes, 1.2), SHAPE, 0.5)
    assert masks(mask_box_scale=1.0, resolve_overlaps=False) == masks()


def test_the_mask_branch_sees_what_the_mask_is_drawn_into(build_model, batch):
    """The regions of interest of the mask branch are those of the box branch, enlarged."""
    seen = {}

    def model(scale):
        def edit(config):
            config.test_cfg.rcnn.score_thr = 0.0
            config.test_cfg.rcnn.mask_box_scale = scale

        built = build_model(edit).eval()
        forward = built.roi_head._mask_forward
        built.roi_head._mask_forward = lambda x, rois: (seen.setdefault(scale, rois), forward(x, rois))[1]
        return built

    with torch.no_grad():
        for scale in (1.0, 1.5):
            model(scale).test_step(batch)
    torch.testing.assert_close(seen[1.5][:, 1:], enlarged_boxes(seen[1.0][:, 1:], 1.5))
    assert torch.equal(seen[1.5][:, 0], seen[1.0][:, 0])
