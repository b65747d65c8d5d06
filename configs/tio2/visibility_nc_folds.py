"""visibility_nc.py in folds of its training images, in 400 steps in place of 1,000: its errors on images that it never saw.

    python tools/cross_validate.py configs/tio2/visibility_nc_folds.py --prepare
    for k in 0 1 2 3; do
        python tools/cover_particles.py --ann work_dirs/visibility_nc_folds/cv/fold_$k/train.json --images data/bam-tio2-sem/images/train \
            --split train --rounds 4 --out data/covered-bam-$k
    done
    python tools/cross_validate.py configs/tio2/visibility_nc_folds.py

Each fold covers the particles of its own training images. Figures: docs/notebook/visibility.md.
"""

_base_ = "./visibility_nc.py"

covered = dict(_base_.covered, data_root="data/covered-bam-{fold}/")

train_dataloader = dict(
    sampler=dict(num_batches=100),
    dataset=dict(
        dataset=dict(
            datasets=[_base_.mixed, _base_.mixed, _base_.varied, _base_.annotated, covered] + [_base_.real] * 16
        )
    ),
)
