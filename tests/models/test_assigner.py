"""The chunked assignment equals upstream's, ties included, in bounded memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.structures import InstanceData

from tio2.models.cpu import assigner
from tio2.models.cpu.assigner import ChunkedMaxIoUAssigner, neighbour_chunks

corners = st.integers(0, 12)  # few places, so that equal overlaps are the rule


@st.composite
def boxes(draw, smallest, largest):
    rows = draw(
        st.lists(st.tuples(corners, corners, st.integers(1, 5), st.integers(1, 5)), min_size=smallest, max_size=largest)
    )
    xywh = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    return torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1)


settings_of_an_assigner = st.fixed_dictionaries(
    {
        "pos_iou_thr": st.sampled_from([0.5, 0.7]),
        "neg_iou_thr": st.sampled_from([0.3, 0.5, (0.1, 0.4)]),
        "min_pos_iou": st.sampled_from([0.0, 0.2, 0.3]),
        "gt_max_assign_all": st.booleans(),
        "match_low_quality": st.booleans(),
        "ignore_iof_thr": st.sampled_from([-1, 0.25, 0.5]),
        "ignore_wrt_candidates": st.booleans(),
    }
)


def labelled(bboxes):
    return InstanceData(bboxes=bboxes, labels=torch.arange(len(bboxes)) % 3)


def assert_same_assignment(arguments, priors, truths, ignored, overlaps_per_chunk):
    instances = [InstanceData(priors=priors), labelled(truths), InstanceData(bboxes=ignored)]
    expected = MaxIoUAssigner(**arguments).assign(*instances)
    with pytest.MonkeyPatch.context() as patch:
        for device in ("CPU", "GPU"):
            patch.setattr(assigner, f"OVERLAPS_PER_{device}_CHUNK", overlaps_per_chunk)
        found = ChunkedMaxIoUAssigner(**arguments).assign(*instances)
    assert found.num_gts == expected.num_gts
    for field in ("gt_inds", "max_overlaps", "labels"):
        assert torch.equal(getattr(found, field), getattr(expected, field)), field


@settings(max_examples=300, deadline=None)
@given(settings_of_an_assigner, boxes(0, 40), boxes(0, 40), boxes(0, 4), st.sampled_from([1, 7, 1000]))
def test_same_assignment_where_many_overlaps_are_equal(arguments, priors, truths, ignored, overlaps_per_chunk):
    assert_same_assignment(arguments, priors, truths, ignored, overlaps_per_chunk)


@settings(max_examples=300, deadline=None)
@given(settings_of_an_assigner, boxes(0, 40), boxes(0, 40), boxes(0, 4), st.sampled_from([1, 7, 1000, 2**24]))
def test_same_assignment_on_a_gpu_s_way(arguments, priors, truths, ignored, overlaps_per_chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tio2.models.cpu.assigner.uses_all_priors", lambda _: True)
        assert_same_assignment(arguments, priors, truths, ignored, overlaps_per_chunk)


@pytest.mark.parametrize("overlaps_per_chunk", [1000, 2**20])
@pytest.mark.parametrize(("positive", "negative", "low_quality"), [(0.7, 0.3, True), (0.5, 0.5, False)])
def test_same_assignment_of_the_anchors_of_an_image(overlaps_per_chunk, positive, negative, low_quality):
    generator = torch.Generator().manual_seed(0)
    anchors = AnchorGenerator(
        strides=[4, 8, 16, 32, 64], base_sizes=[8, 16, 32, 64, 96], scales=[1.0], ratios=[0.5, 1.0, 2.0]
    )
    priors = torch.cat(anchors.grid_priors([(64, 96), (32, 48), (16, 24), (8, 12), (4, 6)], device="cpu"))
    centre = torch.rand(120, 2, generator=generator) * torch.tensor([384.0, 256.0])
    side = torch.rand(120, 2, generator=generator) * 40 + 3
    truths = torch.cat([centre - side / 2, centre + side / 2], dim=1)
    arguments = {
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": negative,
        "match_low_quality": low_quality,
        "ignore_iof_thr": 0.5,
    }
    assert_same_assignment(arguments, priors, truths[:100], truths[100:], overlaps_per_chunk)


def test_a_truth_that_touches_nothing_claims_as_upstream():
    priors = torch.tensor([[0.0, 0.0, 4.0, 4.0], [10.0, 10.0, 14.0, 14.0]])
    truths = torch.tensor([[100.0, 100.0, 110.0, 110.0], [0.0, 0.0, 4.0, 3.0]])
    for assign_all in (True, False):
        arguments = {"pos_iou_thr": 0.7, "neg_iou_thr": 0.3, "gt_max_assign_all": assign_all}
        assert_same_assignment(arguments, priors, truths, torch.zeros(0, 4), 1000)


def test_memory_is_bounded(monkeypatch):
    """1000 truths and 20,000 priors would be 20 million overlaps; no more than asked for are held at once."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(21_000, 2, generator=generator) * 1000
    boxes_of_ten = torch.cat([corner, corner + 10], dim=1)
    monkeypatch.setattr(assigner, "OVERLAPS_PER_CPU_CHUNK", 5000)
    chunked = ChunkedMaxIoUAssigner(0.7, 0.3)
    calculator, held = chunked.iou_calculator, []

    def counting(first, second, **arguments):
        held.append((len(first), len(second)))
        return calculator(first, second, **arguments)

    chunked.iou_calculator = counting
    chunked.assign(InstanceData(priors=boxes_of_ten[1000:]), labelled(boxes_of_ten[:1000]))
    assert max(truths * priors for truths, priors in held if truths > 1) <= 5000
    assert max(priors for _, priors in held) < 1000
    assert sum(truths for truths, _ in held) == 1000


@given(boxes(0, 60), st.integers(1, 20))
def test_chunks_of_neighbours_hold_each_box_once(some_boxes, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assigner, "TRUTHS_PER_CHUNK", size)
        chunks = list(neighbour_chunks(some_boxes))
    assert sorted(index for chunk in chunks for index in chunk.tolist()) == list(range(len(some_boxes)))
    assert all(len(chunk) <= size and chunk.tolist() == sorted(chunk.tolist()) for chunk in chunks)


def test_chunks_of_neighbours_are_near_each_other():
    x, y = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    shuffled = torch.stack([x, y, x + 1, y + 1], dim=-1).reshape(-1, 4)[torch.randperm(1024)]
    for chunk in neighbour_chunks(shuffled):
        extent = shuffled[chunk, 2:].amax(dim=0) - shuffled[chunk, :2].amin(dim=0)
        assert float(extent.prod()) <= 4 * assigner.TRUTHS_PER_CHUNK


def test_a_negative_overlap_is_refused():
    with pytest.raises(ValueError, match="ChunkedMaxIoUAssigner"):
        ChunkedMaxIoUAssigner(0.7, 0.3, min_pos_iou=-0.1)
