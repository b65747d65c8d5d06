"""Weights averaged over the last 50 steps or so (exponential moving average), which is what is validated, tested and shipped.

    python tools/train.py configs/tio2/ablations/light_ema.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "./light_base.py"

custom_hooks = _base_.custom_hooks + [dict(type="AveragedWeightsHook", momentum=0.02)]
