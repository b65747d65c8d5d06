"""Neither rendered scenes nor EMPS before the real images: light_base.py's steps from ImageNet weights.

    python tools/train.py configs/tio2/ablations/light_no_pretraining.py      # in four folds: tools/ablations.sh no_pretraining

In four folds mAP 0.32 and AP50 0.63, base 0.57 and 0.84 (docs/notebook/ablations.md); they take a CPU core 25 minutes.
"""

_base_ = "./light_base.py"

load_from = None
model = dict(backbone=dict(pretrained=True))
