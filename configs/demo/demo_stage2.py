"""The light variant's stage 2 on rendered scenes, in minutes; `make demo` runs it after stage 1.

python tools/train.py configs/demo/demo_stage2.py
"""

_base_ = "./demo_stage1.py"

epochs = 5
load_from = "work_dirs/demo_stage1/epoch_2.pth"

model = dict(backbone=dict(pretrained=False, frozen_stages=-1))
param_scheduler = [
    dict(_base_.warm_up, end=40),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
