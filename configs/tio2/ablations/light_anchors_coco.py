"""COCO's anchors, 32 to 512 px, instead of 8 to 96 px. Stage 1 under the same anchors first:

    python tools/train.py configs/tio2/light_stage1.py --work-dir work_dirs/light_anchors_coco_stage1 \
        --cfg-options model.rpn_head.anchor_generator.base_sizes=[32,64,128,256,512]
    python tools/train.py configs/tio2/ablations/light_anchors_coco.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "../light_stage2.py"

load_from = "work_dirs/light_anchors_coco_stage1/epoch_6.pth"
model = dict(rpn_head=dict(anchor_generator=dict(base_sizes=[32, 64, 128, 256, 512])))
