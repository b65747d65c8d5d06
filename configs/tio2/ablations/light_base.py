"""The base of the ablations: light_nc.py from the shipped `free`, shorter, in smaller windows, tested in one view.

    python tools/train.py configs/tio2/ablations/light_base.py      # in four folds: tools/ablations.sh base

4 epochs of 40 steps of 4 windows of 320 px a fold, so four folds take a CPU core 30 minutes, 8.6 GiB: AP50 0.84, mAP 0.57. `free` saw no image
of these folds, and its weights are in this repository. The table is in docs/notebook/ablations.md; tools/ablations.sh makes it.
"""

_base_ = "../light_nc.py"

batch_size = 4
epochs = 4
load_from = "checkpoints/light_free.pth"
model = dict(
    rpn_head=dict(anchor_generator=dict(base_sizes=[16, 32, 64, 128, 256])),  # as `free` learnt them
    test_cfg=dict(flips=None, rcnn=dict(mask_scores=False, refine_boxes=False)),
)
window = dict(_base_.window, crop_size=(320, 320))
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.brightness] + _base_.pack

train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=40, batch_size=batch_size),
    dataset=dict(dataset=dict(pipeline=pipeline)),
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
