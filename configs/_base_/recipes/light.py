"""Common pieces of the light models on the BAM images: network, data, optimizer, runtime."""

_base_ = [
    "../models/mask_rcnn_light.py",
    "../datasets/bam_tio2.py",
    "../schedules/sgd.py",
    "../runtime.py",
]
