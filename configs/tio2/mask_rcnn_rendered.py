"""A start for mask_rcnn_stage1.py where COCO weights cannot be had: the whole network trains on rendered scenes, from random weights.

    tools/train_models.sh scenes
    python tools/train.py configs/tio2/mask_rcnn_rendered.py
    TIO2_COCO_WEIGHTS=work_dirs/mask_rcnn_rendered/epoch_10.pth python tools/train.py configs/tio2/mask_rcnn_stage1.py

A frozen backbone of random weights would learn nothing, so everything trains, batch norms too; both later stages keep their
statistics. 10 epochs of 72 steps of 12 windows of 512 px, as in light_rendered.py. Needs a GPU; we have not trained it. The results
of its small version on a CPU, ablations/mask_rcnn_short.py, are in docs/notebook/training-log.md.
"""

_base_ = [
    "../_base_/models/mask_rcnn_r50_fpn.py",
    "../_base_/datasets/rendered.py",
    "../_base_/schedules/sgd.py",
    "../_base_/runtime.py",
]

epochs = 10

model = dict(backbone=dict(frozen_stages=-1, norm_eval=False))
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(_base_.warm_up, end=200),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
