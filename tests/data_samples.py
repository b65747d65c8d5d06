"""Data samples as a model returns them and an evaluator passes them to its metrics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from semsize.structures.masks import CroppedMasks


def data_sample(image_id: int, masks: CroppedMasks, scores: Sequence[float], *, dense: bool = True) -> dict:
    """One image's detections; masks are a list of RLE or, as from stock heads, (N, H, W) bool."""
    sample = DetDataSample(
        metainfo={"img_id": image_id, "img_path": f"/data/{image_id}.png", "ori_shape": masks.image_shape}
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.from_numpy(masks.boxes),
        scores=torch.tensor(scores, dtype=torch.float32),
        labels=torch.zeros(len(masks), dtype=torch.long),
        masks=masks.to_rles() if dense else torch.from_numpy(masks.to_full()).bool(),
    )
    return sample.to_dict()
