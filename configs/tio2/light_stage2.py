"""The light variant, stage 2: everything trains, from stage 1's last weights; the learning rate falls to zero on a cosine.

    python tools/train.py configs/tio2/light_stage2.py

12 epochs of 100 steps. On one CPU core: 51 minutes, 2.9 GiB; val AP50 0.834, mAP 0.540 in bfloat16 (docs/results.md),
0.831, 0.534 in float32 (docs/notebook/light.md).
"""

_base_ = "./light_stage1.py"

epochs = 12
load_from = "work_dirs/light_stage1/epoch_4.pth"

model = dict(backbone=dict(pretrained=False, frozen_stages=-1))
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=6)
