"""One stage: everything trains from the ImageNet weights on, for as many steps as both stages have together.

    python tools/train.py configs/tio2/ablations/light_single_stage.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "../light_stage2.py"

load_from = None
epochs = _base_.epochs + 6  # those of stage 1 besides
model = dict(backbone=dict(pretrained=True))
train_cfg = dict(max_epochs=epochs, val_interval=6)
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
