"""Neither rendered scenes nor EMPS before the real images: light_base.py's steps from ImageNet weights.

python tools/train.py configs/tio2/ablations/light_no_pretraining.py
"""

_base_ = "./light_base.py"

load_from = None
model = dict(backbone=dict(pretrained=True))
