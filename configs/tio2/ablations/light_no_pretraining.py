"""Neither rendered scenes nor EMPS before the real images: light_base.py's steps from ImageNet weights.

    python tools/train.py configs/tio2/ablations/light_no_pretraining.py      # in four folds: tools/ablations.sh no_pretraining

Not run in this form; four folds of light_base.py's steps take a CPU core 30 minutes. As many steps of 8 windows of 448 px, on a
GPU, gave AP50 0.601, mAP 0.303 in four folds; from rendered scenes and EMPS 0.848, 0.566 (docs/notebook/ablations.md).
"""

_base_ = "./light_base.py"

load_from = None
model = dict(backbone=dict(pretrained=True))
