"""ResNet-50 on a CPU, what two claims of the paper are tested by: 200 steps as in mask_rcnn_short_stage2.py.

    python tools/train.py configs/tio2/ablations/mask_rcnn_short_pair.py

2 epochs of 100 steps from mask_rcnn_short_stage1.py's last weights: 20 to 30 minutes of a CPU core in bfloat16, beside other trainings;
val AP50 0.746, mAP 0.452. `tools/ablations.sh resnet50_pairs` compares masks of 28 and 56 px, and paste and SEM transforms on and off
(docs/notebook/ablations.md).
"""

_base_ = "./mask_rcnn_short_stage1.py"

epochs = 2
load_from = "work_dirs/mask_rcnn_short_stage1/epoch_4.pth"

model = dict(backbone=dict(frozen_stages=-1))
param_scheduler = [dict(_base_.warm_up, end=25), dict(_base_.cosine, end=epochs)]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
