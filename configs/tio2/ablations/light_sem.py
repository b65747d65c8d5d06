"""SEM transforms (paper §3.2: one or several of blur, contrast, noise, brightness) in place of PhotoMetricDistortion.

    python tools/train.py configs/tio2/ablations/light_sem.py

Trained in four folds by tools/ablations.sh: docs/notebook/ablations.md.
"""

_base_ = "./light_base.py"

pipeline = _base_.load + [_base_.window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=pipeline)))
