"""The shipped model `free` trained on your own images, as tools/dataset_converters write them; docs/own-data.md shows the steps.

    python tools/train.py configs/tio2/own_data.py
    python tools/test.py configs/tio2/own_data.py --split test

One stage from the shipped weights, in which everything trains: 12 epochs of 20 steps of 2 windows of 512 px. Some 6 minutes
of a CPU core in bfloat16, since 300 such steps took 8 (docs/notebook/learning.md). What it reaches was not measured.
"""

_base_ = "./light_free.py"

data_root = "data/own/"
batch_size = 2
epochs = 12
load_from = "checkpoints/light_free.pth"
# Choose the range so that most particles become 24 to 120 px across (tools/dataset_stats.py gives their sizes).
window = dict(_base_.window, ratio_range=(0.4, 2.4))
pipeline = _base_.load + [window, _base_.transpose, _base_.flip, _base_.brightness] + _base_.pack

train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=20, batch_size=batch_size),
    dataset=dict(dataset=dict(_base_.usual, _delete_=True, data_root=data_root, pipeline=pipeline)),
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = dict(ann_file=data_root + "annotations/test.json")
optim_wrapper = dict(optimizer=dict(lr=0.01))  # batches of 8 have 0.04
param_scheduler = [
    dict(_base_.warm_up, end=20),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
