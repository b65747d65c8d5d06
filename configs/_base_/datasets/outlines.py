"""Outlines that a detector found in rendered scenes, one crop each; the steps have names, as in bam_tio2.py.

The outlines of the set D's split S stand in `<detector's run>/<D>-<S>/predictions.json`, where `tools/test.py --data` puts them.
"""

_base_ = "./bam_tio2.py"

batch_size = 8  # images
outlines_per_image = 32
steps_per_epoch = 250

load_outlines = [_base_.read, dict(type="LoadOutlines")]
invert = dict(type="SEMInvert", prob=0.1)
crops = dict(type="CropOutlines", number=outlines_per_image)
turn = dict(type="TurnCrops")
pack_crops = dict(type="PackOutlineCrops")
pipeline = load_outlines + [_base_.sem, invert, crops, turn, pack_crops]
test_pipeline = load_outlines + [dict(type="CropOutlines"), dict(pack_crops, with_image=True)]

short = dict(
    type="OutlineDataset",
    data_root="data/rendered-short/",
    ann_file="annotations/train.json",
    data_prefix=dict(img="images/train/"),
    predictions="work_dirs/light_free/rendered-short-train/predictions.json",
    pipeline=pipeline,
)
scales = dict(
    short,
    data_root="data/rendered-scales/",
    predictions="work_dirs/light_free/rendered-scales-train/predictions.json",
)
tested = dict(
    scales,
    ann_file="annotations/val.json",
    data_prefix=dict(img="images/val/"),
    predictions="work_dirs/light_free/rendered-scales-val/predictions.json",
    test_mode=True,
    pipeline=test_pipeline,
)
validation = dict(
    tested,
    data_root="data/rendered-validation/",
    ann_file="annotations/test.json",
    data_prefix=dict(img="images/test/"),
    predictions="work_dirs/light_free/rendered-validation-test/predictions.json",
)

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    sampler=dict(num_batches=steps_per_epoch, batch_size=batch_size),
    dataset=dict(
        dataset=dict(
            _delete_=True,
            type="ConcatDataset",
            # three in four as a detector finds them; the fourth as annotated, since outlines may be drawn by hand too
            datasets=[short, scales, scales, dict(scales, predictions=None)],
        )
    ),
)
val_dataloader = dict(dataset=dict(_delete_=True, **tested))
test_dataloader = dict(dataset=dict(_delete_=True, **validation))
val_evaluator = dict(_delete_=True, type="VisibilityMetric")
test_evaluator = dict(_delete_=True, type="VisibilityMetric")
