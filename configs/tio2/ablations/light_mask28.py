"""Masks of 28 px, MMDetection's head, instead of 56 px.

    python tools/train.py configs/tio2/ablations/light_mask28.py

Compared in four folds with a head of 56 px that begins anew as well (tools/ablations.sh mask28, mask56): docs/notebook/ablations.md.
"""

_base_ = "./light_base.py"

model = dict(roi_head=dict(mask_head=dict(type="DenseFCNMaskHead")), train_cfg=dict(rcnn=dict(mask_size=28)))
