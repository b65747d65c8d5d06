"""The visibility network `nc`: from `visibility_free`'s weights, with outlines of the detector `nc`, and the states that people gave to BAM's particles.

    tools/train_models.sh visibility_nc   # the outlines it learns from, then these weights
    python tools/train.py configs/tio2/visibility_nc.py
    python tools/test.py configs/tio2/visibility_nc.py --split val

4 epochs of 250 steps of 8 images with 32 outlines each. In scenes without a matrix, whose spheres nobody outlines, the outlines are the detector's; in the
real training images those of four folds of its recipe in small, whose weights never saw them (docs/notebook/ablations.md): the detector itself draws too well
there. Of real particles only the state is known: the thresholds of the visible fraction by which people gave it are fitted on the training images as
annotated, before the first epoch and after each. Figures: docs/notebook/visibility.md.
"""

_base_ = "./visibility_free.py"

epochs = 4
load_from = "checkpoints/visibility_free.pth"
mixed = dict(
    _base_.mixed,
    configurations=["agglomerated", "scattered"],
    predictions="work_dirs/light_nc/outlines-mixed-train/predictions.json",
)
real = dict(
    _base_.mixed,
    data_root=_base_.data_root,
    predictions="work_dirs/ablations/nc_0/cv/predictions.json",
)
annotated = dict(real, predictions=None)
covered = dict(annotated, data_root="data/covered-bam/")

train_dataloader = dict(
    dataset=dict(dataset=dict(datasets=[mixed, mixed, _base_.varied, annotated, covered] + [real] * 16))
)
val_dataloader = dict(
    dataset=dict(data_root=_base_.data_root, predictions="work_dirs/light_nc/bam-tio2-sem-val/predictions.json")
)
custom_hooks = _base_.custom_hooks + [
    dict(
        type="StateThresholdsHook",
        dataloader=dict(
            batch_size=1,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=dict(annotated, pipeline=_base_.test_pipeline, test_mode=True),
        ),
    )
]
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(_base_.warm_up, end=100),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
