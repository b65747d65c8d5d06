"""light_one_scale.py's recipe on EMPS alone, from ImageNet weights: a check on a second public set.

    python tools/dataset_converters/label_images.py --images emps/images --labels emps/segmaps --out data/emps --val 0.2
    python tools/train.py configs/tio2/light_emps.py

AP50 0.885, mAP 0.641 on the fifth of EMPS that was kept back (docs/notebook/training-log.md); 7 minutes on a GPU beside two
other trainings. EMPS: Yildirim and Cole, J. Chem. Inf. Model. 2021, 10.1021/acs.jcim.0c01455.
"""

_base_ = "./light_one_scale.py"

model = dict(test_cfg=dict(scales=[0.75]))
train_dataloader = dict(dataset=dict(dataset=dict(datasets=[_base_.emps])))
val_dataloader = dict(dataset=dict(data_root="data/emps/"))
test_dataloader = dict(dataset=dict(data_root="data/emps/"))
val_evaluator = dict(ann_file="data/emps/annotations/val.json")
