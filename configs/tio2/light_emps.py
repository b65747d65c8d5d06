"""light_rendered.py's recipe on EMPS, particles of many kinds, from ImageNet weights: a second public set to stand on.

    python tools/dataset_converters/label_images.py --images emps/images --labels emps/segmaps --out data/emps --val 0.2
    python tools/train.py configs/tio2/light_emps.py

Its particles are three times as large (median 42 px across, in half of the images over 110), so images are enlarged half
as much. Yildirim and Cole, J. Chem. Inf. Model. 2021, 10.1021/acs.jcim.0c01455.
"""

_base_ = "./light_rendered.py"

data_root = "data/emps/"
test_pipeline = _base_.load[:1] + [dict(type="Resize", scale_factor=0.75)] + _base_.pack_test
pipeline = _base_.load + [dict(type="RandomRescale", ratio_range=(0.4, 1.2))] + _base_.augment[1:] + _base_.pack

train_dataloader = dict(dataset=dict(dataset=dict(data_root=data_root, pipeline=pipeline)))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
val_evaluator = dict(ann_file=data_root + "annotations/val.json")
