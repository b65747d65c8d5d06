"""SEM transforms (paper §3.2: one or several of blur, contrast, noise, brightness) in place of PhotoMetricDistortion.

    python tools/train.py configs/tio2/ablations/light_sem.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "../light_stage2.py"

augment = _base_.augment[:-1] + _base_.sem
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.load + augment + _base_.pack)))
