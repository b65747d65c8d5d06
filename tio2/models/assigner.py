"""MaxIoUAssigner without the matrix of all overlaps.

A 2048 x 1536 image has 785,664 anchors; with 1000 truths their overlaps alone are 3 GB, and computing them at once
takes 27 GB. Nearly all of them are 0: a truth touches the anchors around it. So truths are taken a few neighbours at a
time, with the anchors that touch their common bounds; what is kept is each anchor's best truth so far. A GPU has
computed zeros sooner than it is told to leave them out: there truths are taken as they come, with all anchors.
"""

from collections.abc import Iterator

import torch
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

TRUTHS_PER_CHUNK = 16
OVERLAPS_PER_CHUNK = 2**20
OVERLAPS_PER_GPU_CHUNK = 2**24
NOT_CLAIMED = -1


class BestOverlaps:
    """What an assignment needs of the overlaps of K truths with P priors, gathered chunk by chunk.

    Attributes:
        overlap: (P,) largest overlap with a truth, 0 without any, -1 where the prior is ignored.
        truth: (P,) int64, the first truth that has it.
        claimed_by: (P,) int64, the last truth that claims the prior as the one it overlaps most, -1 for none.
    """

    def __init__(self, ignored: Tensor, dtype: torch.dtype):
        self.overlap = -ignored.to(dtype)
        self.truth = torch.zeros_like(ignored, dtype=torch.long)
        self.claimed_by = torch.full_like(self.truth, NOT_CLAIMED)

    def add(self, overlaps: Tensor, truths: Tensor, priors: Tensor) -> None:
        """Take in the overlaps (T, C) of some truths, ascending (T,), with some priors (C,)."""
        overlap, row = overlaps.max(dim=0)  # the first of equal ones
        truth = truths[row]
        before = self.overlap[priors]
        better = (overlap > before) | ((overlap == before) & (truth < self.truth[priors]))
        self.overlap[priors[better]] = overlap[better]
        self.truth[priors[better]] = truth[better]

    def claim(self, truths: Tensor, priors: Tensor) -> None:
        """Let each of the truths (M,) claim a prior (M,); of several the last truth has it."""
        self.claimed_by.scatter_reduce_(0, priors, truths, "amax")


@TASK_UTILS.register_module()
class ChunkedMaxIoUAssigner(MaxIoUAssigner):
    """The assignment of MaxIoUAssigner, ties included, in bounded memory and in a time that grows with what touches.

    Args:
        pos_iou_thr: A prior that overlaps a truth by this much is positive.
        neg_iou_thr: A prior whose largest overlap is below is negative; or (from, to).
        min_pos_iou: Least overlap of a low-quality match, at least 0.
        gt_max_assign_all: A truth takes all priors that share its largest overlap, else the first.
        ignore_iof_thr: A prior that lies in an ignored region by more than this share is neither; off at or below 0.
        ignore_wrt_candidates: The share is of the prior's area, else of the ignored region's.
        match_low_quality: A truth takes the priors it overlaps most, also below `pos_iou_thr`.
        overlaps_per_chunk: Bounds the memory: overlaps held at once, about 34 bytes each at the peak (default: 2^20, on
            a GPU 2^24). One box's overlaps with all that touches its neighbourhood are held even if they are more.

    Source: Ren et al., NeurIPS 2015, section 3.1.2; mmdet's MaxIoUAssigner.
    """

    def __init__(
        self,
        pos_iou_thr: float,
        neg_iou_thr: float | tuple[float, float],
        min_pos_iou: float = 0.0,
        gt_max_assign_all: bool = True,
        ignore_iof_thr: float = -1,
        ignore_wrt_candidates: bool = True,
        match_low_quality: bool = True,
        overlaps_per_chunk: int | None = None,
    ):
        super().__init__(
            pos_iou_thr=pos_iou_thr,
            neg_iou_thr=neg_iou_thr,
            min_pos_iou=min_pos_iou,
            gt_max_assign_all=gt_max_assign_all,
            ignore_iof_thr=ignore_iof_thr,
            ignore_wrt_candidates=ignore_wrt_candidates,
            match_low_quality=match_low_quality,
        )
        if min_pos_iou < 0 or (overlaps_per_chunk is not None and overlaps_per_chunk < 1):
            raise ValueError(
                "ChunkedMaxIoUAssigner: min_pos_iou must not be negative and overlaps_per_chunk must be positive, "
                f"not {min_pos_iou} and {overlaps_per_chunk}"
            )
        self.overlaps_per_chunk = overlaps_per_chunk

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign a truth, the background, or nothing to each prior.

        Args:
            pred_instances: `priors` (P, 4) xyxy.
            gt_instances: `bboxes` (K, 4) xyxy and `labels` (K,).
            gt_instances_ignore: `bboxes` (I, 4) xyxy of ignored regions.

        Returns:
            `gt_inds` (P,), 0 for background, -1 for nothing, else the truth's index from 1; `max_overlaps` (P,);
            `labels` (P,), -1 without a truth.
        """
        priors, truths = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        if not len(priors) or not len(truths):
            return self.assign_wrt_overlaps(self.iou_calculator(truths, priors), gt_instances.labels)
        ignored = self._ignored_priors(priors, gt_instances_ignore)
        best = self._best_overlaps(priors, truths, ignored)
        assigned = self._assign_best(best)
        labels = torch.full_like(assigned, -1)
        positive = assigned > 0
        labels[positive] = gt_instances.labels[assigned[positive] - 1]
        return AssignResult(len(truths), assigned, best.overlap, labels)

    def _ignored_priors(self, priors: Tensor, regions: InstanceData | None) -> Tensor:
        ignored = torch.zeros(len(priors), dtype=torch.bool, device=priors.device)
        if self.ignore_iof_thr <= 0 or regions is None or not len(regions.bboxes):
            return ignored
        boxes = get_box_tensor(regions.bboxes)
        everything = torch.ones_like(ignored)
        for chunk, touching in self._touching_chunks(boxes, priors, everything):
            if self.ignore_wrt_candidates:
                shares = self.iou_calculator(priors[touching], boxes[chunk], mode="iof").amax(dim=1)
            else:
                shares = self.iou_calculator(boxes[chunk], priors[touching], mode="iof").amax(dim=0)
            ignored[touching[shares > self.ignore_iof_thr]] = True
        return ignored

    def _best_overlaps(self, priors: Tensor, truths: Tensor, ignored: Tensor) -> BestOverlaps:
        best = BestOverlaps(ignored, truths.dtype)
        most = truths.new_zeros(len(truths))
        for chunk, touching in self._touching_chunks(truths, priors, ~ignored):
            overlaps = self.iou_calculator(truths[chunk], priors[touching])  # (T, C)
            best.add(overlaps, chunk, touching)
            if self.match_low_quality:
                most[chunk], first = overlaps.max(dim=1)
                claims = (most[chunk] > 0) & (most[chunk] >= self.min_pos_iou)
                if self.gt_max_assign_all:
                    row, column = torch.nonzero((overlaps == most[chunk, None]) & claims[:, None], as_tuple=True)
                    best.claim(chunk[row], touching[column])
                else:
                    best.claim(chunk[claims], touching[first[claims]])
        if self.match_low_quality and self.min_pos_iou == 0 and not ignored.all():
            self._claim_without_overlap(best, torch.nonzero(most <= 0)[:, 0], torch.nonzero(~ignored)[:, 0])
        return best

    def _claim_without_overlap(self, best: BestOverlaps, truths: Tensor, priors: Tensor) -> None:
        """Let truths that touch no prior claim those with their largest overlap, 0: all of them, as upstream."""
        claimed = priors if self.gt_max_assign_all else priors[:1]
        for truth in truths:
            best.claim(truth.expand(len(claimed)), claimed)

    def _touching_chunks(self, boxes: Tensor, priors: Tensor, chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield boxes (T,), ascending, and the chosen priors (C,) that touch their bounds, where C is not 0.

        On a GPU all that are chosen are taken to touch.
        """
        if leaves_nothing_out(boxes.device):
            yield from all_chunks(len(boxes), chosen, self.overlaps_per_chunk or OVERLAPS_PER_GPU_CHUNK)
            return
        for neighbours in neighbour_chunks(boxes, TRUTHS_PER_CHUNK):
            low, high = boxes[neighbours, :2].amin(dim=0), boxes[neighbours, 2:].amax(dim=0)
            touches = chosen & (priors[:, 0] < high[0]) & (priors[:, 1] < high[1])
            touches &= (priors[:, 2] > low[0]) & (priors[:, 3] > low[1])
            touching = torch.nonzero(touches)[:, 0]
            if len(touching):
                most = (self.overlaps_per_chunk or OVERLAPS_PER_CHUNK) // len(touching)
                for chunk in neighbours.split(max(1, most)):
                    yield chunk, touching

    def _assign_best(self, best: BestOverlaps) -> Tensor:
        low, high = self.neg_iou_thr if isinstance(self.neg_iou_thr, tuple | list) else (0.0, self.neg_iou_thr)
        assigned = torch.full_like(best.truth, -1)
        assigned[(best.overlap >= low) & (best.overlap < high)] = 0
        positive = best.overlap >= self.pos_iou_thr
        assigned[positive] = best.truth[positive] + 1
        claimed = best.claimed_by != NOT_CLAIMED
        assigned[claimed] = best.claimed_by[claimed] + 1
        return assigned


def leaves_nothing_out(device: torch.device) -> bool:
    """Whether a device is faster with all overlaps of some truths than with those that are not 0."""
    return device.type == "cuda"


def all_chunks(count: int, chosen: Tensor, overlaps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the numbers of `count` boxes (T,), ascending, each time with all chosen priors (C,), where C is not 0."""
    priors = torch.nonzero(chosen)[:, 0]
    if len(priors):
        boxes = torch.arange(count, device=chosen.device)
        for chunk in boxes.split(max(1, overlaps // len(priors))):
            yield chunk, priors


def neighbour_chunks(boxes: Tensor, size: int) -> Iterator[Tensor]:
    """Divide boxes into chunks of neighbours: strips of rows with equally many boxes, each divided from left to right.

    Args:
        boxes: (K, 4) xyxy.
        size: Most boxes of a chunk.

    Yields:
        (T,) int64 indices, ascending.
    """
    centre = boxes[:, :2] + boxes[:, 2:]
    strips = max(1, round((len(boxes) / size) ** 0.5))
    by_row = centre[:, 1].argsort(stable=True)
    for strip in by_row.chunk(strips):
        by_column = strip[centre[strip, 0].argsort(stable=True)]
        for chunk in by_column.split(size):
            yield chunk.sort().values
