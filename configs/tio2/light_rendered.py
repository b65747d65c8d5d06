"""The light variant on rendered scenes alone, from ImageNet weights: no real image, so the weights are free to share.

    tools/train_models.sh scenes
    python tools/train.py configs/tio2/light_rendered.py

Everything trains at once. 10 epochs of 72 steps of 12 windows of 512 px, enlarged ×1 to ×2.6, stretched and turned. On a GPU
with two other trainings: 7 minutes, 5 GB; real val AP50 0.75, mAP 0.44 (docs/notebook/training-log.md).
"""

_base_ = [
    "../_base_/models/mask_rcnn_light.py",
    "../_base_/datasets/rendered.py",
    "../_base_/schedules/sgd.py",
    "../_base_/runtime.py",
]

epochs = 10

optim_wrapper = dict(optimizer=dict(lr=0.08))
param_scheduler = [
    dict(_base_.warm_up, end=200),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
