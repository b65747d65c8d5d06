"""Every window lies over a particle.

    python tools/train.py configs/tio2/ablations/light_focus.py

Trained in four folds by tools/ablations.sh: docs/notebook/ablations.md.
"""

_base_ = "./light_base.py"

window = dict(_base_.window, focus=1.0)
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.brightness] + _base_.pack
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=pipeline)))
