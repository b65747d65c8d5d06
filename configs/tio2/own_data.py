"""The light variant on your own images, as tools/dataset_converters write them. docs/own-data.md walks through it.

python tools/train.py configs/tio2/own_data.py
"""

_base_ = "./light_stage2.py"

data_root = "data/own/"
# One stage, everything trains, from the ImageNet weights of the package; or name
# a model that knows particles, which needs fewer steps: checkpoints/light_free.pth, with pretrained=False below and its
# anchors, rpn_head=dict(anchor_generator=dict(base_sizes=[16, 32, 64, 128, 256])).
load_from = None
model = dict(backbone=dict(pretrained=True))
# Enlarge so that most particles are 16 to 96 px across (tools/dataset_stats.py says how large they are);
# the network's input stays centred on 127, as its ImageNet weights want it, whatever the images' mean.
train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root)))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
test_evaluator = dict(ann_file=data_root + "annotations/test.json")
