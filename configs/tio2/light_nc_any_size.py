"""A successor of `nc`, trained and not taken (docs/notebook/training-log.md): light_free.py's network, trained on with the 22 real TiO2 images beside the others.

    python tools/train.py configs/tio2/light_nc_any_size.py

20 epochs of 50 steps of 8 windows of 512 px, two in three of a real TiO2 image. Five hours of one quiet CPU core.
"""

_base_ = "./light_free.py"

epochs = 20
load_from = "work_dirs/light_free/epoch_12.pth"

tio2_window = dict(_base_.window, ratio_range=(0.7, 3.0))
tio2 = dict(
    _base_.usual,
    data_root="data/bam-tio2-sem/",
    indices=[*range(22)] * 100,  # each image a hundred times: two windows in three
    pipeline=_base_.load + [tio2_window] + _base_.augment,
)
train_dataloader = dict(
    dataset=dict(dataset=dict(datasets=[_base_.mixed, _base_.scaled, _base_.materials, _base_.materials, tio2]))
)
val_dataloader = dict(dataset=dict(data_root="data/bam-tio2-sem/"))
val_evaluator = dict(ann_file="data/bam-tio2-sem/annotations/val.json")
param_scheduler = [
    dict(_base_.warm_up, end=100),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
