"""ResNet-50 on a CPU, stage 2: from mask_rcnn_short_stage1.py's last weights, everything trains; the learning rate falls to zero.

    python tools/train.py configs/tio2/ablations/mask_rcnn_short_stage2.py

7 epochs of 100 steps of 4 windows of 320 px: 34 minutes of two CPU cores in bfloat16, 10.5 GB; val AP50 0.771, mAP 0.485
(docs/notebook/training-log.md). The paper's 24,430 steps need a GPU.
"""

_base_ = "./mask_rcnn_short_stage1.py"

epochs = 7
load_from = "work_dirs/mask_rcnn_short_stage1/epoch_4.pth"

model = dict(backbone=dict(frozen_stages=-1))
param_scheduler = [dict(_base_.warm_up, end=25), dict(_base_.cosine, end=epochs)]
train_cfg = dict(max_epochs=epochs, val_interval=2)
