"""The light variant's stage 2 on rendered scenes, sized for minutes: what `make demo` runs after stage 1.

python tools/train.py configs/demo/demo_stage2.py
"""

_base_ = "./demo_stage1.py"

epochs = 5
load_from = "work_dirs/demo_stage1/epoch_2.pth"

model = dict(backbone=dict(pretrained=False, frozen_stages=-1))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=0,
        end=epochs,
        T_max=epochs,
        eta_min=0.0,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
