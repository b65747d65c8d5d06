"""Rendered scenes in windows of 512 px with SEM transforms: agglomerates (`usual`), and scenes of all kinds that vary more (`varied`).

`tools/train_models.sh scenes` renders them. Tests keep the BAM images.
"""

_base_ = "./bam_tio2.py"

batch_size = 12
usual = dict(
    _base_.train_dataloader.dataset.dataset,
    data_root="data/rendered/",
    pipeline=_base_.load + [_base_.window, _base_.transpose, _base_.flip, _base_.sem] + _base_.pack,
)
varied = dict(usual, data_root="data/rendered-varied/")

train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=72, batch_size=batch_size),
    dataset=dict(dataset=dict(_delete_=True, type="ConcatDataset", datasets=[usual, varied])),
)
val_dataloader = dict(dataset=dict(data_root="data/rendered/"))
val_evaluator = dict(ann_file="data/rendered/annotations/val.json")
