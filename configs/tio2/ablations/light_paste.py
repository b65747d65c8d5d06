"""Agglomerates pasted while training (paper §3.2), without SEM transforms: on empty backgrounds (half of the images) and into images (half).

    python tools/build_library.py --ann data/bam-tio2-sem/annotations/train.json --out data/agglomerates
    python tools/train.py configs/tio2/ablations/light_paste.py

Four folds (tools/ablations.sh paste): AP50 0.85, mAP 0.57, 11 minutes a fold of a CPU core, 9.9 GiB (docs/notebook/ablations.md).
"""

_base_ = ["./light_base.py", "../../_base_/datasets/paste.py"]

augment = [_base_.window, _base_.transpose, _base_.flip, _base_.brightness]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.load + _base_.paste + augment + _base_.pack)))
