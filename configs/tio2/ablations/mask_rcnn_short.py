"""ResNet-50 on a CPU: mask_rcnn_rendered.py with fewer and smaller windows and an eighth of the regions, on 288 scenes.

    python tools/train.py configs/tio2/ablations/mask_rcnn_short.py     # with its scenes and both stages: tools/ablations.sh resnet50

10 epochs of 200 steps of 4 windows of 320 px: 90 minutes of two CPU cores in bfloat16, 10.2 GB; AP50 0.741, mAP 0.541 on
rendered scenes kept back (docs/notebook/training-log.md). Then mask_rcnn_short_stage1.py and mask_rcnn_short_stage2.py.
"""

_base_ = "../mask_rcnn_rendered.py"

batch_size = 4
window = dict(_base_.window, crop_size=(320, 320))
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack
scenes = dict(_base_.usual, data_root="data/rendered-short/", pipeline=pipeline)

model = dict(
    train_cfg=dict(rpn_proposal=dict(nms_pre=1000, max_per_img=1000), rcnn=dict(sampler=dict(num=128))),
)
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=200, batch_size=batch_size),
    dataset=dict(dataset=dict(_delete_=True, **scenes)),
)
val_dataloader = dict(dataset=dict(data_root="data/rendered-short/"))
val_evaluator = dict(ann_file="data/rendered-short/annotations/val.json")
train_cfg = dict(val_interval=2)
