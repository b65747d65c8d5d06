"""Box NMS at 0.3, as in the paper's Table 1, instead of 0.5. It needs no training: it tests light_base.py's weights.

    python tools/test.py configs/tio2/ablations/light_box_nms_03.py work_dirs/light_base/epoch_4.pth      # in four folds: tools/ablations.sh box_nms

Seconds an image on a CPU. Four folds: AP50 0.83, mAP 0.56 (light_base.py: 0.84, 0.57; docs/notebook/ablations.md).
"""

_base_ = "./light_base.py"

model = dict(test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.3))))
