"""Mirror images give the image's detections, and fused views equal the closed forms."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semsize.detecting import boxes as of_views
from semsize.detecting.boxes import FLIPPED_DIMENSIONS, mirrored_boxes
from semsize.structures.masks import CroppedMasks
from tio2.models.detector import mirrored_inputs, suppression

FLIPS = ["horizontal", "vertical", "diagonal"]


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 4), max_size=6), st.sampled_from(sorted(FLIPPED_DIMENSIONS)))
def test_mirrored_boxes_hold_the_mirrored_pixels(corners, flip):
    boxes = torch.tensor([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]).reshape(-1, 4)
    mirrored = mirrored_boxes(boxes, flip, (40, 44))
    assert torch.equal(mirrored_boxes(mirrored, flip, (40, 44)), boxes)
    for (x1, y1, x2, y2), (u1, v1, u2, v2) in zip(boxes.tolist(), mirrored.tolist(), strict=True):
        inside, there = torch.zeros(40, 44), torch.zeros(40, 44)
        inside[y1:y2, x1:x2] = 1
        there[v1:v2, u1:u2] = 1
        assert torch.equal(inside.flip(FLIPPED_DIMENSIONS[flip]), there)


def test_each_image_of_a_batch_is_mirrored_within_its_own_frame():
    inputs = torch.zeros(2, 3, 4, 6)
    inputs[0, :, :3, :5] = torch.arange(1.0, 16).reshape(3, 5)
    inputs[1] = torch.arange(1.0, 25).reshape(4, 6)
    shapes = [(3, 5), (4, 6)]
    mirrored = mirrored_inputs(inputs, "horizontal", shapes)
    assert mirrored[0, 0, 0].tolist() == [5, 4, 3, 2, 1, 0], "padding stays to the right"
    assert mirrored[1, 0, 0].tolist() == [6, 5, 4, 3, 2, 1]
    for flip in FLIPPED_DIMENSIONS:
        assert torch.equal(mirrored_inputs(mirrored_inputs(inputs, flip, shapes), flip, shapes), inputs)


def fuse_views(boxes, scores, iou_threshold):
    """The fused boxes and scores of tensors, as tensors."""
    given = ([part.numpy() for part in parts] for parts in (boxes, scores))
    return map(torch.from_numpy, of_views.fuse_views(*given, iou_threshold, suppression))


BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]])
SCORES = torch.tensor([0.9, 0.8, 0.7])


@pytest.mark.parametrize("views", [1, 4])
def test_views_that_agree_are_one_of_them(views):
    boxes, scores = fuse_views([BOXES] * views, [SCORES] * views, 0.5)
    torch.testing.assert_close(boxes, BOXES)
    torch.testing.assert_close(scores, SCORES)


def test_what_one_view_shows_has_a_share_of_its_score():
    none = torch.zeros(0, 4), torch.zeros(0)
    boxes, scores = fuse_views([BOXES, BOXES[:2], none[0], BOXES[:1]], [SCORES, SCORES[:2], none[1], SCORES[:1]], 0.5)
    torch.testing.assert_close(boxes, BOXES)
    torch.testing.assert_close(scores, SCORES * torch.tensor([3, 2, 1]) / 4)
    boxes, scores = fuse_views([none[0]] * 2, [none[1]] * 2, 0.5)
    assert (tuple(boxes.shape), tuple(scores.shape)) == ((0, 4), (0,))


def test_boxes_of_a_particle_are_weighted_by_their_scores_and_the_best_of_a_view_counts():
    near = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 12]]), torch.tensor([0.6, 0.3])
    far = torch.tensor([[1.0, 0, 11, 10], [40, 40, 50, 50]]), torch.tensor([0.9, 0.2])
    boxes, scores = fuse_views([near[0], far[0]], [near[1], far[1]], 0.5)
    expected = (0.9 * far[0][0] + 0.6 * near[0][0] + 0.3 * near[0][1]) / 1.8
    torch.testing.assert_close(boxes, torch.stack([expected, far[0][1]]))
    torch.testing.assert_close(scores, torch.tensor([(0.6 + 0.9) / 2, 0.2 / 2]))


@pytest.fixture(scope="module")
def model(build_model):
    """A network of random weights in float32."""

    def edit(config):
        config.update(type="DenseMaskRCNN", precision="float32")
        config.test_cfg.rcnn.update(score_thr=0.0, max_per_img=12)

    return build_model(edit).eval()


def found(model, batch, flips, axes=()):
    """Boxes, scores and masks of each image, seen with some flips; the images turned round first."""
    model.test_cfg.flips = flips
    turned = {"inputs": [image.flip(axes) for image in batch["inputs"]], "data_samples": batch["data_samples"]}
    with torch.no_grad():
        samples = model.test_step(copy.deepcopy(turned))
    return [sample.pred_instances for sample in samples]


def test_no_flips_are_the_detector_as_it_is(model, batch):
    of_none, as_it_is = found(model, batch, []), found(model, batch, None)
    for one, other in zip(of_none, as_it_is, strict=True):
        assert len(one) > 0
        assert torch.equal(one.bboxes, other.bboxes)
        assert one.masks == other.masks


@pytest.fixture(params=[False, True], ids=["", "refined"])
def refined(model, request):
    """With boxes as non-maximum suppression leaves them, and refined."""
    model.roi_head.test_cfg.refine_boxes = request.param
    yield request.param
    model.roi_head.test_cfg.refine_boxes = False


@pytest.mark.usefixtures("refined")
def test_with_all_flips_a_mirror_image_shows_what_the_image_shows(model, batch):
    seen = found(model, batch, FLIPS)
    for flip in FLIPS:
        axes = FLIPPED_DIMENSIONS[flip]
        for straight, turned in zip(seen, found(model, batch, FLIPS, axes), strict=True):
            assert len(straight) == len(turned) > 0
            torch.testing.assert_close(straight.scores, turned.scores, atol=1e-5, rtol=0)
            boxes = mirrored_boxes(turned.bboxes, flip, (96, 128))
            torch.testing.assert_close(straight.bboxes, boxes, atol=1e-2, rtol=0)
            masks, there = (CroppedMasks.from_rles(each.masks, (96, 128)).to_full() for each in (straight, turned))
            assert np.mean(masks != np.flip(there, axes)) < 1e-3


def test_refined_boxes_are_the_mean_of_what_the_views_make_of_them(model, batch):
    """Each view moves each box a quarter of its width right and of its height down: a mirror image undoes the first."""
    shifting = copy.deepcopy(model)
    torch.nn.init.zeros_(shifting.roi_head.bbox_head.fc_reg.weight)
    shifting.roi_head.bbox_head.fc_reg.bias.data.copy_(torch.tensor([2.5, 2.5, 0, 0]))  # times 0.1, its target_stds
    plain = found(shifting, batch, ["horizontal"])
    shifting.roi_head.test_cfg.refine_boxes = True
    for once, again in zip(plain, found(shifting, batch, ["horizontal"]), strict=True):
        x1, y1, x2, y2 = once.bboxes.unbind(dim=1)
        width, height = x2 - x1, y2 - y1
        inner = (x1 > width / 4) & (x2 + width / 4 < 128) & (y2 + height / 4 < 96)  # the frame cuts none of the views
        assert inner.sum() > 1
        expected = once.bboxes + 0.25 * height[:, None] * torch.tensor([0.0, 1, 0, 1])
        torch.testing.assert_close(again.bboxes[inner], expected[inner], atol=1e-2, rtol=0)
        assert torch.equal(again.scores, once.scores)


def test_without_the_flips_it_does_not(model, batch):
    straight, turned = (found(model, batch, [], axes)[0] for axes in ((), (-1,)))
    assert len(straight) != len(turned) or not torch.allclose(straight.scores, turned.scores, atol=1e-5)


@pytest.mark.usefixtures("refined")
def test_an_image_without_particles_has_no_masks(model, batch):
    threshold, model.roi_head.test_cfg.score_thr = model.roi_head.test_cfg.score_thr, 1.0
    try:
        assert [each.masks for each in found(model, batch, FLIPS)] == [[], []]
    finally:
        model.roi_head.test_cfg.score_thr = threshold
