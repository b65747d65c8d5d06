"""A short pre-training on rendered scenes, for rows that change the network or what its weights mean: each repeats it under its own setting.

    python tools/train.py configs/tio2/ablations/light_short.py     # and four folds after it: tools/ablations.sh short

From ImageNet weights, 4 epochs of 80 steps of 4 windows of 320 px; 10 minutes of one CPU core. Then light_base.py's steps.
"""

_base_ = "../light_rendered.py"

batch_size = 4
epochs = 4
window = dict(_base_.window, crop_size=(320, 320))
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack
scenes = dict(_base_.usual, data_root="data/rendered-short/", pipeline=pipeline)

train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=80, batch_size=batch_size),
    dataset=dict(dataset=dict(_delete_=True, **scenes)),
)
val_dataloader = dict(dataset=dict(data_root="data/rendered-short/"))
val_evaluator = dict(ann_file="data/rendered-short/annotations/val.json")
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
