"""The light variant on rendered scenes alone, from ImageNet weights: no real image, so the weights are free to share.

    tools/train_models.sh scenes
    python tools/train.py configs/tio2/light_rendered.py

Everything trains at once. 10 epochs of 72 steps of 12 windows of 512 px, enlarged ×1 to ×2.6, stretched and turned. On a GPU
with two other trainings: 7 minutes, 5 GB; real val AP50 0.75, mAP 0.44 (docs/notebook/training-log.md).
"""

_base_ = "../_base_/recipes/light.py"

batch_size = 12
epochs = 10
usual = dict(
    _base_.train_dataloader.dataset.dataset,
    data_root="data/rendered/",
    pipeline=_base_.load + [_base_.window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack,
)
varied = dict(usual, data_root="data/rendered-varied/")

train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=72, batch_size=batch_size),
    dataset=dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=[usual, varied])),
)
val_dataloader = dict(dataset=dict(data_root="data/rendered/"))
val_evaluator = dict(ann_file="data/rendered/annotations/val.json")
optim_wrapper = dict(optimizer=dict(lr=0.08))
param_scheduler = [
    dict(_base_.warm_up, end=200),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
