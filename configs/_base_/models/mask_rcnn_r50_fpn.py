"""Mask R-CNN, ResNet-50-FPN, as the paper adapts it (Nanomaterials 2021, 11, 968); all other settings are MMDetection's."""

_base_ = "mmdet::_base_/models/mask-rcnn_r50_fpn.py"

# §3.3: the mean grey level of the training images in place of ImageNet's; the scale stays that of the COCO weights
grey_mean = 41.5
proposals = 4000  # our choice, in tests per megapixel: stock keeps 1000 boxes an image, which limits recall

model = dict(
    type="DenseMaskRCNN",
    data_preprocessor=dict(
        mean=[grey_mean] * 3, std=[58.395, 57.12, 57.375], bgr_to_rgb=False, pad_size_divisor=64
    ),  # Table 1: pad 64
    backbone=dict(init_cfg=None),  # load_from gives the weights of the whole detector
    rpn_head=dict(
        type="DenseRPNHead",
        # §3.3: one anchor size a level; its "stride 1" is Matterport's: an anchor in every cell of the feature map
        anchor_generator=dict(
            _delete_=True,
            type="AnchorGenerator",
            strides=[4, 8, 16, 32, 64],
            base_sizes=[8, 16, 32, 64, 96],
            scales=[1.0],
            ratios=[0.5, 1.0, 2.0],
        ),
    ),
    roi_head=dict(
        type="DenseRoIHead",
        bbox_roi_extractor=dict(type="DenseRoIExtractor"),
        mask_roi_extractor=dict(type="DenseRoIExtractor"),
        bbox_head=dict(num_classes=1),
        mask_head=dict(type="HighResFCNMaskHead", num_classes=1),  # 14 -> 28 -> 56 (§3.3)
    ),
    train_cfg=dict(
        # ignore_iof_thr: a box at least half in a speck (iscrowd) is neither particle nor background; stock ignores none
        rpn=dict(
            assigner=dict(type="ChunkedMaxIoUAssigner", ignore_iof_thr=0.5),
            sampler=dict(num=1024),  # §3.3: anchors trained an image
        ),
        rpn_proposal=dict(nms_pre=2 * proposals, max_per_img=proposals),
        rcnn=dict(
            assigner=dict(type="ChunkedMaxIoUAssigner", ignore_iof_thr=0.5),
            sampler=dict(num=1024, pos_fraction=0.25),  # our choice, the paper gives no number
            mask_size=56,  # §3.3
        ),
    ),
    test_cfg=dict(
        scales=[1.0],
        rpn=dict(nms_pre=2 * proposals, max_per_img=proposals, min_score=0.05),
        # a low threshold, as average precision needs it, and no cap (stock keeps 100)
        rcnn=dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=-1),
    ),
)
