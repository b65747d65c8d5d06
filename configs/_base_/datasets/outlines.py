"""Crops around outlines that a detector found in rendered scenes, and around annotated outlines of covered real particles.

The steps have names, as in bam_tio2.py. The detector `free` did not learn from these scenes, so its outlines have the errors of new
images; tools/train_models.sh renders the scenes and covers EMPS' particles.
The outlines of split S of the set D are in `<detector's run>/<D>-<S>/predictions.json`, as `tools/test.py --data` writes them.
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

mixed = dict(
    type="OutlineDataset",
    data_root="data/outlines-mixed/",
    ann_file="annotations/train.json",
    data_prefix=dict(img="images/train/"),
    predictions="work_dirs/light_free/outlines-mixed-train/predictions.json",
    pipeline=pipeline,
)
varied = dict(
    mixed,
    data_root="data/outlines-varied/",
    predictions="work_dirs/light_free/outlines-varied-train/predictions.json",
)
drawn = dict(varied, predictions=None)
covered = dict(drawn, data_root="data/covered-emps/")
tested = dict(
    varied,
    ann_file="annotations/val.json",
    data_prefix=dict(img="images/val/"),
    predictions="work_dirs/light_free/outlines-varied-val/predictions.json",
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
            # a quarter of the rendered sets with annotated outlines, since users may draw outlines; 1 image in 5 is real
            datasets=[mixed, varied, varied, drawn] * 2 + [covered],
        )
    ),
)
val_dataloader = dict(dataset=dict(_delete_=True, **tested))
test_dataloader = dict(dataset=dict(_delete_=True, **validation))
val_evaluator = dict(_delete_=True, type="VisibilityMetric")
test_evaluator = dict(_delete_=True, type="VisibilityMetric")
