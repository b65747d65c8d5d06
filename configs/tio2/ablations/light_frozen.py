"""The backbone stays as `free` has it; FPN, RPN and heads train on the real images.

python tools/train.py configs/tio2/ablations/light_frozen.py
"""

_base_ = "./light_base.py"

model = dict(backbone=dict(frozen_stages=4))
