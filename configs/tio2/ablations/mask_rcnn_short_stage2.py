"""ResNet-50 on a CPU, stage 2: from mask_rcnn_short_stage1.py's last weights, everything trains, the rate falling to zero.

    python tools/train.py configs/tio2/ablations/mask_rcnn_short_stage2.py

6 epochs of 50 steps of 4 windows of 320 px: 16 minutes of one CPU core, 8.7 GB; val AP50 0.65, mAP 0.36, by runs
without RandomFlip (docs/notebook/training-log.md). The paper's 24,430 steps need a GPU.
"""

_base_ = "./mask_rcnn_short_stage1.py"

epochs = 6
load_from = "work_dirs/mask_rcnn_short_stage1/epoch_2.pth"

model = dict(backbone=dict(frozen_stages=-1))
param_scheduler = [dict(_base_.warm_up, end=25), dict(_base_.cosine, end=epochs)]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
