"""Real and simulated images together (paper §3.2: 77 + 622), without SEM transforms.

    python tools/simulate_dataset.py --ann data/bam-tio2-sem/annotations/train.json --num 622 --size 1024 704 --count 3 36 --out data/simulated
    python tools/train.py configs/tio2/ablations/light_simulated.py

SIMULATED names the folder of the simulated images in the environment; {fold} in it is a fold's number. Four folds
(tools/ablations.sh simulated): AP50 0.85, mAP 0.56, 7.5 minutes a fold of a CPU core, 9.8 GiB (docs/notebook/ablations.md).
"""

_base_ = "./light_base.py"

real = _base_.train_dataloader.dataset.dataset
simulated = dict(real, data_root="{{$SIMULATED:data/simulated}}/")
train_dataloader = dict(dataset=dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=[real, simulated])))
