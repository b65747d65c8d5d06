"""Gradients as they come, instead of clipped at norm 5.

    python tools/train.py configs/tio2/ablations/light_no_clipping.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "./light_base.py"

optim_wrapper = dict(clip_grad=None)
