"""MaxIoUAssigner without the matrix of all overlaps.

A 2048 x 1536 image has 785,664 anchors; with 1000 truths their overlaps alone are 3 GB, and MMDetection takes 27 GB to
compute them. Nearly all are 0, since a truth touches only the anchors around it. On a CPU the assigner therefore takes
a few neighbouring truths at a time, compares them with the anchors that touch their common bounds, and keeps each
anchor's best truth so far. On a GPU the dense IoU is faster than selecting anchors, so each chunk takes all.
"""

from collections.abc import Iterator

import torch
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

TRUTHS_PER_CHUNK = 16
OVERLAPS_PER_CPU_CHUNK = 2**20  # overlaps of a chunk; each takes about 34 bytes at the peak
OVERLAPS_PER_GPU_CHUNK = 2**24
NOT_CLAIMED = -1


class BestOverlaps:
    """The best truth of each of P priors, updated chunk by chunk of truths.

    Attributes:
        overlap: (P,) largest overlap of the prior with a truth; 0 if it touches none, -1 if it is ignored.
        truth: (P,) int64, the truth with that overlap, the first of several.
        claimed_by: (P,) int64, the last truth that overlaps no prior more than this one; -1 without a claim.
    """

    def __init__(self, ignored: Tensor, dtype: torch.dtype):
        self.overlap = -ignored.to(dtype)
        self.truth = torch.zeros_like(ignored, dtype=torch.long)
        self.claimed_by = torch.full_like(self.truth, NOT_CLAIMED)

    def add(self, overlaps: Tensor, truths: Tensor, priors: Tensor) -> None:
        """Update `overlap` and `truth` by the overlaps (T, C) of the truths (T,), ascending, with the priors (C,).

        Chunks come in any order, so among equal overlaps the lower index must win explicitly, as it does in
        MMDetection's maximum over the whole matrix.
        """
        overlap, row = overlaps.max(dim=0)  # the first of equal ones
        truth = truths[row]
        before = self.overlap[priors]
        better = (overlap > before) | ((overlap == before) & (truth < self.truth[priors]))
        self.overlap[priors[better]] = overlap[better]
        self.truth[priors[better]] = truth[better]

    def claim(self, truths: Tensor, priors: Tensor) -> None:
        """Let each truth (M,) claim a prior (M,); the last truth that claims it gets it, as in MMDetection's loop."""
        self.claimed_by.scatter_reduce_(0, priors, truths, "amax")


@TASK_UTILS.register_module()
class ChunkedMaxIoUAssigner(MaxIoUAssigner):
    """MaxIoUAssigner in bounded memory, with the same assignments, ties included.

    On a CPU its time grows with the number of boxes that touch. `min_pos_iou` must not be negative.

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
        if min_pos_iou < 0:
            raise ValueError(f"ChunkedMaxIoUAssigner: min_pos_iou must not be negative, not {min_pos_iou}")

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign a truth, the background or nothing to each of the P `priors`.

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
        for chunk, touching in chunks(boxes, priors, ~ignored):
            if self.ignore_wrt_candidates:
                fractions = self.iou_calculator(priors[touching], boxes[chunk], mode="iof").amax(dim=1)
            else:
                fractions = self.iou_calculator(boxes[chunk], priors[touching], mode="iof").amax(dim=0)
            ignored[touching[fractions > self.ignore_iof_thr]] = True
        return ignored

    def _best_overlaps(self, priors: Tensor, truths: Tensor, ignored: Tensor) -> BestOverlaps:
        best = BestOverlaps(ignored, truths.dtype)
        most = truths.new_zeros(len(truths))
        for chunk, touching in chunks(truths, priors, ~ignored):
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
            # as in MMDetection: the largest overlap of a truth that touches no prior is 0, so it claims all priors
            claimed = torch.nonzero(~ignored)[:, 0]
            claimed = claimed if self.gt_max_assign_all else claimed[:1]
            for truth in torch.nonzero(most <= 0)[:, 0]:
                best.claim(truth.expand(len(claimed)), claimed)
        return best

    def _assign_best(self, best: BestOverlaps) -> Tensor:
        low, high = self.neg_iou_thr if isinstance(self.neg_iou_thr, tuple | list) else (0.0, self.neg_iou_thr)
        assigned = torch.full_like(best.truth, -1)
        assigned[(best.overlap >= low) & (best.overlap < high)] = 0
        positive = best.overlap >= self.pos_iou_thr
        assigned[positive] = best.truth[positive] + 1
        claimed = best.claimed_by != NOT_CLAIMED
        assigned[claimed] = best.claimed_by[claimed] + 1
        return assigned


def chunks(boxes: Tensor, priors: Tensor, chosen: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield chunks of boxes: their indices (T,), ascending, and those (C,) of chosen priors that touch their bounds.

    Chunks that no chosen prior touches are left out. On a GPU every chunk has all chosen priors.
    """
    if uses_all_priors(boxes.device):
        parts = [(torch.arange(len(boxes), device=boxes.device), torch.nonzero(chosen)[:, 0])]
        limit = OVERLAPS_PER_GPU_CHUNK
    else:
        parts = ((part, touching_priors(boxes[part], priors, chosen)) for part in neighbour_chunks(boxes))
        limit = OVERLAPS_PER_CPU_CHUNK
    for part, touching in parts:
        if len(touching):
            for chunk in part.split(max(1, limit // len(touching))):
                yield chunk, touching


def uses_all_priors(device: torch.device) -> bool:
    """True if computing every overlap is faster on this device than first selecting the priors that touch."""
    return device.type == "cuda"


def touching_priors(boxes: Tensor, priors: Tensor, chosen: Tensor) -> Tensor:
    """Return the indices (C,) of the chosen priors that touch the common bounds of boxes (T, 4)."""
    low, high = boxes[:, :2].amin(dim=0), boxes[:, 2:].amax(dim=0)
    touches = chosen & (priors[:, 0] < high[0]) & (priors[:, 1] < high[1])
    touches &= (priors[:, 2] > low[0]) & (priors[:, 3] > low[1])
    return torch.nonzero(touches)[:, 0]


def neighbour_chunks(boxes: Tensor) -> Iterator[Tensor]:
    """Divide boxes (K, 4) into chunks of at most TRUTHS_PER_CHUNK neighbours and yield their ascending (T,) indices.

    Horizontal strips with equal numbers of boxes are divided from left to right, so that a chunk is about square.
    """
    centre = boxes[:, :2] + boxes[:, 2:]
    strips = max(1, round((len(boxes) / TRUTHS_PER_CHUNK) ** 0.5))
    by_row = centre[:, 1].argsort(stable=True)
    for strip in by_row.chunk(strips):
        by_column = strip[centre[strip, 0].argsort(stable=True)]
        for chunk in by_column.split(TRUTHS_PER_CHUNK):
            yield chunk.sort().values
