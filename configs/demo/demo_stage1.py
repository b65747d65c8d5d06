"""The light variant's stage 1 on rendered scenes, in minutes; `make demo` runs it.

python tools/render_dataset.py --num 30 --size 512 352 --preset agglomerated --fractions 0.7 0.1 0.2 --seed 0 --out data/demo
python tools/train.py configs/demo/demo_stage1.py
"""

_base_ = "../tio2/light_stage1.py"

data_root = "data/demo/"
epochs = 2

train_dataloader = dict(sampler=dict(num_batches=40), dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = dict(ann_file=data_root + "annotations/test.json")
param_scheduler = [dict(_base_.warm_up, end=40)]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
