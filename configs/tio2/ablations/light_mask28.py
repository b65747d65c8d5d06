"""Masks of 28 px, MMDetection's head, instead of 56 px, on rendered scenes already:

    python tools/train.py configs/tio2/light_rendered.py --work-dir work_dirs/light_rendered_mask28 \
        --cfg-options model.roi_head.mask_head.type=DenseFCNMaskHead model.train_cfg.rcnn.mask_size=28
    python tools/train.py configs/tio2/ablations/light_mask28.py

Trained in four folds by tools/ablations.sh, from a shorter pre-training: docs/notebook/ablations.md.
"""

_base_ = "./light_base.py"

load_from = "work_dirs/light_rendered_mask28/epoch_10.pth"
model = dict(roi_head=dict(mask_head=dict(type="DenseFCNMaskHead")), train_cfg=dict(rcnn=dict(mask_size=28)))
