"""The visibility network `nc`: from visibility_free.py's weights, with the states that people gave to particles of the BAM TiO2 images.

    tools/train_models.sh visibility_nc   # the outlines it learns from, visibility_free.py's weights, then these
    python tools/train.py configs/tio2/visibility_nc.py
    python tools/test.py configs/tio2/visibility_nc.py --split val

4 epochs of 250 steps of 8 images with 32 outlines each. Of real particles only the state is known: the thresholds of the visible fraction by
which people gave it are fitted on the training images as annotated, before the first epoch and after each.
Figures: docs/notebook/visibility.md.
"""

_base_ = "./visibility_free.py"

epochs = 4
load_from = "work_dirs/visibility_free/epoch_10.pth"
real = dict(
    _base_.mixed,
    data_root=_base_.data_root,
    predictions="work_dirs/light_free/bam-tio2-sem-train/predictions.json",
)
annotated = dict(real, predictions=None)
covered = dict(annotated, data_root="data/covered-bam/")

train_dataloader = dict(
    dataset=dict(dataset=dict(datasets=[_base_.mixed, _base_.varied, _base_.varied, annotated, covered] + [real] * 16))
)
val_dataloader = dict(
    dataset=dict(data_root=_base_.data_root, predictions="work_dirs/light_free/bam-tio2-sem-val/predictions.json")
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
