"""The shipped `nc` model: light_rendered.py's weights, trained on the real images, everything at once.

    tools/train_models.sh nc                                                          # how the shipped weights were made
    python tools/test.py configs/tio2/light_nc.py checkpoints/light_nc.pth
    python tools/measure.py scans --out results

25 epochs of 40 steps of 8 windows of 448 px: 100 minutes of one busy CPU core, 10 GiB. It is tested as it ships: with a
mirror image, refined boxes and scores times masks' probability: val AP50 0.874, mAP 0.617 (docs/notebook/training-log.md).
"""

_base_ = "../_base_/recipes/light.py"

batch_size = 8
epochs = 25
load_from = "work_dirs/light_rendered/epoch_10.pth"
window = dict(_base_.window, crop_size=(448, 448))
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.brightness] + _base_.pack

as_shipped = _base_.test_as_shipped
model = dict(
    backbone=dict(pretrained=False),
    test_cfg=dict(as_shipped, rcnn=dict(as_shipped.rcnn, refine_boxes=True)),
)
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=40, batch_size=batch_size),
    dataset=dict(dataset=dict(pipeline=pipeline)),
)
optim_wrapper = dict(optimizer=dict(lr=0.04))
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
