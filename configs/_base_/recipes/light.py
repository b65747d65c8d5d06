"""What the light models share: network, data, optimizer, runtime; images are tested enlarged, since particles are small."""

_base_ = [
    "../models/mask_rcnn_light.py",
    "../datasets/bam_tio2.py",
    "../schedules/sgd.py",
    "../runtime.py",
]

test_pipeline = [_base_.read, dict(_base_.scale_test, scale_factor=1.5), _base_.pack_test]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
