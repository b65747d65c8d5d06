"""light_nc.py with anchors of 24 to 384 px instead of 8 to 96, windows laid over particles, and a fifth more steps.

    python tools/train.py configs/tio2/ablations/light_anchors_24.py
    BACKEND=gloo tools/dist_train.sh configs/tio2/ablations/light_anchors_24.py 2 --cfg-options train_dataloader.batch_size=1 \
        train_dataloader.sampler.batch_size=1 train_dataloader.sampler.num_batches=160 optim_wrapper.accumulative_counts=4 param_scheduler.0.end=200

The second is for two CPU cores: 97 minutes beside other work. A candidate for `nc` that was not taken: docs/notebook/training-log.md.
"""

_base_ = "../light_nc.py"

epochs = 30
window = dict(_base_.window, focus=0.8)
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.brightness] + _base_.pack
# enlarged particles are 28 to 73 px across: these sizes meet them on strides 4 and 8, the paper's on 16 and 32
model = dict(rpn_head=dict(anchor_generator=dict(base_sizes=[24, 48, 96, 192, 384])))
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=pipeline)))
param_scheduler = [
    dict(_base_.warm_up, end=50),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
