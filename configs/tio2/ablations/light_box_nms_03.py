"""Box NMS at 0.3, as in the paper's Table 1, instead of 0.5. It needs no training: it tests light_nc.py's weights.

python tools/test.py configs/tio2/ablations/light_box_nms_03.py work_dirs/light_nc/epoch_25.pth
"""

_base_ = "./light_base.py"

model = dict(test_cfg=dict(rcnn=dict(nms=dict(iou_threshold=0.3))))
