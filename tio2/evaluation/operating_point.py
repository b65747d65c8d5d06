"""The paper's operating point (Table 1) applied to predictions that were made with every score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from mmcv.ops import nms

TABLE1_SCORE = 0.5
TABLE1_BOX_NMS_IOU = 0.3
TABLE1_INSTANCES = 512


def table1_selection(predictions: Sequence[Mapping]) -> list[Mapping]:
    """Those that score 0.5 or more, after box NMS at 0.3, the 512 best of each image.

    Where the predictions already passed an NMS at a higher IoU, as the default test settings have it, this is what
    Table 1's NMS leaves of them.
    """
    by_image = defaultdict(list)
    for prediction in predictions:
        if prediction["score"] >= TABLE1_SCORE:
            by_image[prediction["image_id"]].append(prediction)
    return [kept for of_image in by_image.values() for kept in _of_image(of_image)]


def _of_image(predictions: Sequence[Mapping]) -> list[Mapping]:
    boxes = torch.tensor([prediction["bbox"] for prediction in predictions], dtype=torch.float32)  # (M, 4) xywh
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.tensor([prediction["score"] for prediction in predictions], dtype=torch.float32)
    kept = nms(boxes, scores, TABLE1_BOX_NMS_IOU)[1][:TABLE1_INSTANCES]
    return [predictions[index] for index in kept.tolist()]
