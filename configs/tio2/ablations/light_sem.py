"""SEM transforms (paper §3.2: one or several of blur, contrast, noise, brightness) in place of PhotoMetricDistortion.

    python tools/train.py configs/tio2/ablations/light_sem.py

Trained in four folds by tools/ablations.sh: docs/ablations.md.
"""

_base_ = "./light_base.py"

augment = _base_.augment[:-1] + _base_.sem
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.load + augment + _base_.pack)))
