"""Common pieces of the light models: network, data, optimizer, runtime. Tests enlarge images ×1.5, since particles are small."""

_base_ = [
    "../models/mask_rcnn_light.py",
    "../datasets/bam_tio2.py",
    "../schedules/sgd.py",
    "../runtime.py",
]

model = dict(test_cfg=dict(scales=[1.5]))
