"""Real and simulated images together (paper §3.2: 77 + 622), with SEM transforms.

    python tools/simulate_dataset.py --ann data/bam-tio2-sem/annotations/train.json --num 622 --size 1024 704 --count 3 36 --out data/simulated
    python tools/train.py configs/tio2/ablations/light_simulated_sem.py

Not run. Without SEM transforms (light_simulated.py): AP50 0.85, mAP 0.56 in four folds, 7.5 minutes a fold of a CPU core
(docs/notebook/ablations.md).
"""

_base_ = "./light_base.py"

pipeline = _base_.load + [_base_.window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack
real = dict(_base_.train_dataloader.dataset.dataset, pipeline=pipeline)
simulated = dict(real, data_root="data/simulated/")
train_dataloader = dict(dataset=dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=[real, simulated])))
