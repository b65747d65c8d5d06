"""The light variant pre-trained on rendered scenes, then trained on the real images: everything at once.

    python tools/train.py configs/tio2/light_rendered.py
    python tools/train.py configs/tio2/light_finetune.py

10 epochs of 100 steps of 2 crops. On one CPU core with bfloat16, shared: 34 minutes; val AP50 0.84, mAP 0.56 (docs/training-log.md).
"""

_base_ = "./light_stage2.py"

epochs = 10
load_from = "work_dirs/light_rendered/epoch_20.pth"

param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
