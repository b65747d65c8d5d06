"""The shipped `nc` model: light_rendered.py's weights, trained on the real images, everything at once.

    python tools/train.py configs/tio2/light_rendered.py
    python tools/train.py configs/tio2/light_finetune.py

25 epochs of 40 steps of 8 windows of 448 px: 100 minutes of one busy CPU core, 10 GiB, by
tools/train_models.sh. Val AP50 0.88, mAP 0.59; used as light_nc.py says 0.87 and 0.61 (docs/training-log.md).
"""

_base_ = "./light_stage2.py"

batch_size = 8
epochs = 25
load_from = "work_dirs/light_rendered/epoch_10.pth"
augment = [dict(_base_.window[0], crop_size=(448, 448))] + _base_.window[1:] + _base_.augment[2:]

train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=40, batch_size=batch_size),
    dataset=dict(dataset=dict(pipeline=_base_.load + augment + _base_.pack)),
)
optim_wrapper = dict(optimizer=dict(lr=0.04))
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
