"""The last stage of a successor of `nc`, in training: light_nc_any_size.py's weights, five windows in six of a real TiO2 image.

    python tools/train.py configs/tio2/light_nc_last.py

8 epochs of 25 steps of 8 windows of 512 px, at a quarter of the rate; TiO2 enlarged as in light_nc.py. An hour of one quiet CPU core.
"""

_base_ = "./light_free.py"

epochs = 8
load_from = "work_dirs/light_nc_any_size/epoch_20.pth"

tio2_window = dict(_base_.window, ratio_range=(1.0, 2.6))
tio2 = dict(
    _base_.usual,
    data_root="data/bam-tio2-sem/",
    indices=[*range(22)] * 300,
    pipeline=_base_.load + [tio2_window] + _base_.augment,
)
train_dataloader = dict(
    sampler=dict(num_batches=25),
    dataset=dict(dataset=dict(datasets=[_base_.mixed, _base_.scaled, _base_.materials, _base_.materials, tio2])),
)
val_dataloader = dict(dataset=dict(data_root="data/bam-tio2-sem/"))
val_evaluator = dict(ann_file="data/bam-tio2-sem/annotations/val.json")
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(_base_.warm_up, end=20),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
