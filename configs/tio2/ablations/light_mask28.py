"""Masks of 28 px, MMDetection's head, instead of 56 px.

    python tools/train.py configs/tio2/ablations/light_mask28.py

Both this head and a 56 px head start from random weights, in four folds (tools/ablations.sh mask28, mask56; 25 minutes of a CPU core): mAP 0.515,
with 56 px 0.493 after so few steps. With ResNet-50: docs/notebook/ablations.md.
"""

_base_ = "./light_base.py"

model = dict(roi_head=dict(mask_head=dict(type="DenseFCNMaskHead")), train_cfg=dict(rcnn=dict(mask_size=28)))
