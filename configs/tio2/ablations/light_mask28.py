"""Masks of 28 px, MMDetection's head, instead of 56 px. Stage 1 with the same head first:

    python tools/train.py configs/tio2/light_stage1.py --work-dir work_dirs/light_mask28_stage1 \
        --cfg-options model.roi_head.mask_head.type=DenseFCNMaskHead model.train_cfg.rcnn.mask_size=28
    python tools/train.py configs/tio2/ablations/light_mask28.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "../light_stage2.py"

load_from = "work_dirs/light_mask28_stage1/epoch_6.pth"
model = dict(roi_head=dict(mask_head=dict(type="DenseFCNMaskHead")), train_cfg=dict(rcnn=dict(mask_size=28)))
