"""ResNet-50 on a CPU, mask_rcnn_short_pair.py's steps with the paper's augmentation (§3.2): paste, and SEM transforms in place of brightness.

    python tools/build_library.py --ann data/bam-tio2-sem/annotations/train.json --out data/agglomerates
    python tools/train.py configs/tio2/ablations/mask_rcnn_short_paste_sem.py

20 to 30 minutes of a CPU core in bfloat16, beside other trainings; val AP50 0.756, mAP 0.459 (docs/notebook/ablations.md).
"""

_base_ = ["./mask_rcnn_short_stage1.py", "../../_base_/datasets/paste.py"]

epochs = 2
load_from = "work_dirs/mask_rcnn_short_stage1/epoch_4.pth"
augment = [_base_.window, _base_.transpose, _base_.flip, _base_.sem]

model = dict(backbone=dict(frozen_stages=-1))
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.load + _base_.paste + augment + _base_.pack)))
param_scheduler = [dict(_base_.warm_up, end=25), dict(_base_.cosine, end=epochs)]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
