"""Stage 2 at the operating point of the paper's Table 1: score 0.5, box NMS 0.3, 1000 proposals, 512 instances, pad 64.

    python tools/test.py configs/tio2/mask_rcnn_stage2_table1.py work_dirs/mask_rcnn_stage2/epoch_35.pth

A test alone, on a GPU or a CPU. Not run, since stage 2 was not trained here. At this point the weights of ablations/mask_rcnn_short_stage2.py have
AP50 0.711, mAP 0.449; the paper states 0.846, 0.606 on its own particles (docs/results.md).
"""

_base_ = "./mask_rcnn_stage2.py"

model = dict(
    test_cfg=dict(
        rpn=dict(max_per_img=1000),
        rcnn=dict(score_thr=0.5, nms=dict(iou_threshold=0.3), max_per_img=512),
    )
)
