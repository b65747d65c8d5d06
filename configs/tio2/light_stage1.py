"""The light variant, stage 1: EfficientNet-Lite0 frozen at its ImageNet weights; FPN, RPN, heads train. Made for a CPU.

    python tools/train.py configs/tio2/light_stage1.py

4 epochs of 100 steps of 2 crops of 320 px, enlarged ×1.2 to ×1.9, since the particles are small (median 28 px across).
On one CPU core: 20 minutes, 2.5 GiB; val AP50 0.69, mAP 0.38 (docs/notebook/light.md).
"""

_base_ = "../_base_/recipes/light.py"

epochs = 4
rescale = dict(type="RandomRescale", ratio_range=(1.2, 1.9))
crop = dict(_base_.crop, crop_size=(320, 320))
pipeline = _base_.load + [rescale, crop, _base_.flip, _base_.brightness] + _base_.pack

model = dict(backbone=dict(frozen_stages=4))
train_dataloader = dict(sampler=dict(num_batches=100), dataset=dict(dataset=dict(pipeline=pipeline)))
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [dict(_base_.warm_up, end=50)]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
