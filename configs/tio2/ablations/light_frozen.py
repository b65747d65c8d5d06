"""The backbone stays as `free` has it; FPN, RPN and heads train on the real images.

    python tools/train.py configs/tio2/ablations/light_frozen.py      # in four folds: tools/ablations.sh frozen

Four folds: AP50 0.83, mAP 0.54 (light_base.py: 0.84, 0.57), 6 minutes a fold of a CPU core, 8.7 GiB (docs/notebook/ablations.md).
"""

_base_ = "./light_base.py"

model = dict(backbone=dict(frozen_stages=4))
