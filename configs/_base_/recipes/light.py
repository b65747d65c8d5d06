"""What the light models share: network, data, optimizer, runtime; images are looked at enlarged, since particles are small."""

_base_ = [
    "../models/mask_rcnn_light.py",
    "../datasets/bam_tio2.py",
    "../schedules/sgd.py",
    "../runtime.py",
]

model = dict(test_cfg=dict(scales=[1.5]))
