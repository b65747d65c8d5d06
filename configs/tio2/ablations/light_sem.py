"""SEM transforms (paper §3.2: one or several of blur, contrast, noise, brightness) in place of PhotoMetricDistortion.

    python tools/train.py configs/tio2/ablations/light_sem.py

Four folds (tools/ablations.sh sem): AP50 0.85, mAP 0.57, 10 minutes a fold of a CPU core, 8.0 GiB (docs/notebook/ablations.md).
"""

_base_ = "./light_base.py"

pipeline = _base_.load + [_base_.window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=pipeline)))
