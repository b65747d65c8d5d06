"""The shipped model `free`: particles of any size, of several kinds of bodies, dark ones too; no TiO2 image.

    tools/train_models.sh free
    python tools/train.py configs/tio2/light_free.py

light_one_scale.py's weights, then 12 epochs of 50 steps of 8 windows of 512 px: scenes of five kinds of bodies at four
pixel sizes, scenes of TiO2 at 7.3 nm a pixel, EMPS' images, each enlarged over three octaves or so; one in eight inverted.
Four hours of one quiet CPU core. At all scales that each image wants, one view: EMPS' kept-back images AP50 0.899,
mAP 0.658; BAM val AP50 0.692, mAP 0.412 (docs/notebook/training-log.md).
"""

_base_ = "./light_rendered.py"

batch_size = 8
epochs = 12
load_from = "work_dirs/light_one_scale/epoch_10.pth"

invert = dict(type="SEMInvert", prob=0.12)
augment = [_base_.transpose, _base_.flip, _base_.sem, invert] + _base_.pack
usual_window = dict(_base_.window, ratio_range=(0.6, 3.0))
scaled_window = dict(_base_.window, ratio_range=(0.4, 2.4))
emps_window = dict(_base_.window, ratio_range=(0.25, 2.0))
mixed = dict(_base_.usual, data_root="data/rendered-short/", pipeline=_base_.load + [usual_window] + augment)
scaled = dict(_base_.usual, data_root="data/rendered-scales/", pipeline=_base_.load + [scaled_window] + augment)
materials = dict(_base_.usual, data_root="data/emps/", pipeline=_base_.load + [emps_window] + augment)

model = dict(
    backbone=dict(pretrained=False),
    # particles under 12 px in one look are larger in the next, so the smallest anchors have 16 px
    rpn_head=dict(anchor_generator=dict(base_sizes=[16, 32, 64, 128, 256])),
    # a second scale gains more than the mirror image (docs/notebook/scales.md)
    # proposals that score less, or share more of a better one, add to the time and nothing to what is found
    test_cfg=dict(
        _base_.test_as_shipped,
        scales="auto",
        flips=None,
        rpn=dict(min_score=0.5, nms=dict(iou_threshold=0.5)),
    ),
)
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(num_batches=50, batch_size=batch_size),
    dataset=dict(dataset=dict(datasets=[mixed, mixed, scaled, materials, materials])),
)
val_dataloader = dict(dataset=dict(data_root="data/rendered-scales/"))
val_evaluator = dict(ann_file="data/rendered-scales/annotations/val.json")
optim_wrapper = dict(optimizer=dict(lr=0.04))
param_scheduler = [
    dict(_base_.warm_up, end=100),
    dict(_base_.cosine, end=epochs),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
