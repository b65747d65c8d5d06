"""Agglomerates pasted while training (paper §3.2), with SEM transforms: on empty backgrounds (half of the images) and into images (half).

    python tools/build_library.py --ann data/bam-tio2-sem/annotations/train.json --out data/agglomerates
    python tools/train.py configs/tio2/ablations/light_paste_sem.py

Not run; mask_rcnn_short_paste_sem.py does the same with ResNet-50. Without SEM transforms (light_paste.py): AP50 0.85, mAP 0.57 in four folds,
11 minutes a fold of a CPU core (docs/notebook/ablations.md).
"""

_base_ = ["./light_base.py", "../../_base_/datasets/paste.py"]

augment = [_base_.window, _base_.transpose, _base_.flip, _base_.sem]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.load + _base_.paste + augment + _base_.pack)))
