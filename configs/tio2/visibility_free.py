"""The visibility network `free`: what share of each outlined particle is seen, and its whole outline.

    tools/train_models.sh visibility   # with the outlines that it learns from, by the detector's weights checkpoints/light_free.pth
    python tools/train.py configs/tio2/visibility_free.py
    python tools/test.py configs/tio2/visibility_free.py --split test

Learnt from rendered scenes, and from EMPS' lone particles laid over one another: 10 epochs of 250 steps of 8 images
with 32 outlines each. Figures: docs/notebook/visibility.md.
"""

_base_ = ["../_base_/datasets/outlines.py", "../_base_/schedules/sgd.py", "../_base_/runtime.py"]

epochs = 10
model = dict(type="VisibilityNet")
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=3e-3, weight_decay=1e-2))
param_scheduler = [
    dict(_base_.warm_up, end=100),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
