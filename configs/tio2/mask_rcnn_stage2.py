"""Stage 2 of the paper's transfer learning (§3.4, §3.5): from stage 1's last weights, everything trains.

    python tools/train.py configs/tio2/mask_rcnn_stage2.py

35 epochs of 698 steps (24,430), 1 image a GPU, learning rate 1e-3, ×0.1 after epoch 28. The rate is the same in both
stages, as in the paper. BN statistics stay those of the COCO weights.
Needs a GPU; we have not trained it, so there are no metrics.
"""

_base_ = "./mask_rcnn_stage1.py"

epochs = 35
batch_size = 1
load_from = "work_dirs/mask_rcnn_stage1/epoch_42.pth"

model = dict(backbone=dict(frozen_stages=-1))
train_dataloader = dict(batch_size=batch_size, sampler=dict(batch_size=batch_size))
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, begin=0, end=epochs, milestones=[28], gamma=0.1)]
train_cfg = dict(max_epochs=epochs)
auto_scale_lr = dict(base_batch_size=batch_size)
