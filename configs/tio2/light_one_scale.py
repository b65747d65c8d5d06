"""Before `free`: scenes at one pixel size and, one sample in three, real images of other particles (EMPS), from ImageNet weights.

    python tools/dataset_converters/label_images.py --images emps/images --labels emps/segmaps --out data/emps --val 0.2
    python tools/train.py configs/tio2/light_one_scale.py

The steps and time of light_rendered.py, from ImageNet weights; real val AP50 0.76, mAP 0.47 (docs/notebook/training-log.md). EMPS' images
are enlarged less, since their particles are larger (median 42 px across, in half of the images over 110). EMPS: Yildirim and Cole,
J. Chem. Inf. Model. 2021, 10.1021/acs.jcim.0c01455, MIT.
"""

_base_ = "./light_rendered.py"

larger = dict(_base_.window, ratio_range=(0.4, 1.4))
pipeline = _base_.load + [larger, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack
emps = dict(_base_.usual, data_root="data/emps/", pipeline=pipeline)
model = dict(test_cfg=_base_.test_as_shipped)
# 1,500 scenes, and twice 293 images
train_dataloader = dict(dataset=dict(dataset=dict(datasets=[_base_.usual, _base_.varied, emps, emps])))
