"""Stage 2 with ResNet-101 instead of ResNet-50. Stage 1 with it first, from MMDetection's COCO weights of that network:

    export TIO2_COCO_WEIGHTS=https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_mstrain-poly_3x_coco/mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth
    python tools/train.py configs/tio2/mask_rcnn_stage1.py --work-dir work_dirs/mask_rcnn_r101_stage1 \
        --cfg-options model.backbone.depth=101
    python tools/train.py configs/tio2/ablations/mask_rcnn_r101.py

Needs a GPU; not trained by us so far, so no figures stand here.
"""

_base_ = "../mask_rcnn_stage2.py"

load_from = "work_dirs/mask_rcnn_r101_stage1/epoch_42.pth"
model = dict(backbone=dict(depth=101))
