"""The light variant on rendered scenes alone, from ImageNet weights: no real image, so the weights are free to share.

    python tools/render_dataset.py --num 640 --preset mixed --fractions 0.95 0.025 0.025 --seed 101 --out data/rendered
    python tools/train.py configs/tio2/light_rendered.py

Everything trains at once. 20 epochs of 100 steps of 2 crops. On one CPU core with bfloat16: 52 minutes, 2.1 GiB; mask AP50 0.75,
mAP 0.44 on the 22 real training images (docs/training-log.md).
"""

_base_ = "./light_stage1.py"

data_root = "data/rendered/"
epochs = 20
augment = _base_.augment[:-1] + _base_.sem

model = dict(backbone=dict(frozen_stages=-1))
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root, pipeline=_base_.load + augment + _base_.pack)))
val_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
param_scheduler = [
    dict(_base_.warm_up, end=200),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
