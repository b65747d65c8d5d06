"""Average precision of a tested split under flat names, as `metrics.json` holds them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tio2.evaluation.coco_ap import average_precision
from tio2.evaluation.operating_point import table1_selection

IOU_TYPES = ("segm", "bbox")


def coco_figures(
    truth: Mapping, found: Sequence[Mapping], image_ids: Collection[int] | None = None
) -> dict[str, float]:
    """``segm_`` and ``bbox_`` ``mAP``, ``AP50``, ``AP75``, ``AP90``; the same ``_cap100``; ``mAP_cap100_ceiling``.

    Arguments as for `average_precision`; NaN where there is no truth, 0.0 where nothing was found.
    """
    figures: dict[str, float] = {}
    for iou_type in IOU_TYPES:
        precision = average_precision(truth, found, iou_type, image_ids=image_ids)
        cap = f"cap{precision.cap}"
        figures |= {f"{iou_type}_{name}": value for name, value in vars(precision.uncapped).items()}
        figures |= {f"{iou_type}_{name}_{cap}": value for name, value in vars(precision.capped).items()}
        figures[f"{iou_type}_mAP_{cap}_ceiling"] = precision.ceiling
    return figures


def table1_figures(
    truth: Mapping, found: Sequence[Mapping], image_ids: Collection[int] | None = None
) -> dict[str, float]:
    """``segm_`` and ``bbox_`` average precision of what the paper's operating point leaves, ``_table1``."""
    selected = table1_selection(found)
    figures: dict[str, float] = {}
    for iou_type in IOU_TYPES:
        precision = average_precision(truth, selected, iou_type, image_ids=image_ids).uncapped
        figures |= {f"{iou_type}_{name}_table1": value for name, value in vars(precision).items()}
    return figures
