"""256 anchors sampled in an image for the RPN's losses, instead of the light variant's 512.

    python tools/train.py configs/tio2/ablations/light_sampled_anchors_256.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "./light_base.py"

model = dict(train_cfg=dict(rpn=dict(sampler=dict(num=256))))
