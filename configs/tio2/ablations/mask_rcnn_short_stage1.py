"""ResNet-50 on a CPU, stage 1: mask_rcnn_short.py's weights, ResNet frozen; FPN, RPN and heads learn the real images.

    python tools/train.py configs/tio2/ablations/mask_rcnn_short_stage1.py

4 epochs of 100 steps of 4 windows of 320 px, enlarged as in light_nc.py: 16 minutes of two CPU cores in bfloat16, 8.5 GB;
val AP50 0.698, mAP 0.403 (docs/notebook/training-log.md). The paper's 29,316 steps need a GPU.
"""

_base_ = "../mask_rcnn_stage1.py"

batch_size = 4
epochs = 4
load_from = "work_dirs/mask_rcnn_short/epoch_10.pth"
window = dict(_base_.window, crop_size=(320, 320))
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.brightness] + _base_.pack

model = dict(
    train_cfg=dict(rpn_proposal=dict(nms_pre=1000, max_per_img=1000), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(scales=[1.5]),
)
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=100, batch_size=batch_size),
    dataset=dict(dataset=dict(pipeline=pipeline)),
)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [dict(_base_.warm_up, end=25)]
train_cfg = dict(max_epochs=epochs, val_interval=2)
