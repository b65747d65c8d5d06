"""Stage 1 of the paper's transfer learning (§3.4, §3.5): COCO weights, ResNet frozen; RPN, FPN and heads train.

    python tools/train.py configs/tio2/mask_rcnn_stage1.py

42 epochs of 698 steps (29,316), 2 images a GPU, learning rate 1e-3, ×0.1 after epoch 38. It starts from MMDetection's
3x multi-scale Mask R-CNN R50-FPN of COCO; to use a downloaded copy, set TIO2_COCO_WEIGHTS=/path/to/it.pth or
--cfg-options load_from=…
Needs a GPU (8 GB in the paper, §4.2.1); we have not trained it, so there are no metrics.
"""

_base_ = [
    "../_base_/models/mask_rcnn_r50_fpn.py",
    "../_base_/datasets/bam_tio2.py",
    "../_base_/schedules/sgd.py",
    "../_base_/runtime.py",
]

load_from = "{{$TIO2_COCO_WEIGHTS:https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r50_fpn_mstrain-poly_3x_coco/mask_rcnn_r50_fpn_mstrain-poly_3x_coco_20210524_201154-21b550bb.pth}}"

model = dict(backbone=dict(frozen_stages=4, norm_eval=True))
