"""visibility_free.py with real particles whose hidden part is known: EMPS' lone particles laid over one another.

    python tools/cover_particles.py --ann data/emps/annotations/train.json --split train --out data/covered-emps
    python tools/train.py configs/tio2/ablations/visibility_covered.py
    python tools/test.py configs/tio2/ablations/visibility_covered.py --split test

One image in five is such a one, with its annotated outlines. Not trained yet.
"""

_base_ = "../visibility_free.py"

drawn = dict(_base_.scales, predictions=None)
covered = dict(_base_.short, data_root="data/covered-emps/", predictions=None)

train_dataloader = dict(
    dataset=dict(dataset=dict(datasets=[_base_.short, _base_.scales, _base_.scales, drawn, covered]))
)
