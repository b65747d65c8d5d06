"""The BAM TiO2 SEM images, as tools/dataset_converters/bam_tio2.py writes them.

Each step of the pipelines has a name, by which a child config changes it (`crop = dict(_base_.crop, crop_size=(320, 320))`)
and composes its pipeline (`_base_.load + [crop, _base_.flip] + _base_.pack`).
"""

data_root = "data/bam-tio2-sem/"
dataset_type = "ParticleDataset"
steps_per_epoch = 698  # §3.5: the same in both stages, for any size of the data set
batch_size = 2
num_workers = 2

read = dict(type="LoadSEMImage")
load = [read, dict(type="LoadParticleAnnotations")]
crop = dict(
    type="RandomCrop", crop_size=(1024, 1024), crop_type="absolute", allow_negative_crop=True, recompute_bbox=True
)
flip = dict(type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"])
brightness = dict(
    type="PhotoMetricDistortion",
    brightness_delta=16,
    contrast_range=(0.8, 1.2),
    hue_delta=0,
    saturation_range=(1.0, 1.0),
)
# replaces crop for large batches: enlarges over a wide range and stretches; with transpose and flip in all 8 orientations
window = dict(type="RandomScaledCrop", crop_size=(512, 512), ratio_range=(1.0, 2.6), stretch=1.25)
transpose = dict(type="RandomTranspose")
sem = dict(  # §3.2: one or several of these transforms, in place of brightness
    type="OneOrMoreOf",
    transforms=[
        dict(type="SEMGaussianBlur", sigma_range=(0.0, 1.5)),
        dict(type="SEMContrast", factor_range=(0.7, 1.4)),
        dict(type="SEMGaussianNoise", std_range=(0.0, 8.0)),
        dict(type="SEMMultiply", factor_range=(0.7, 1.3)),
    ],
    prob=0.75,
)
# drops particles of which a crop leaves only a speck; keeps images without particles
clean = dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), by_mask=True, min_gt_mask_area=12, keep_empty=False)
pack = [clean, dict(type="PackDetInputs")]
pack_test = dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"))

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type="FixedLengthSampler", num_batches=steps_per_epoch, batch_size=batch_size),
    dataset=dict(
        type="SeededDataset",
        dataset=dict(
            type=dataset_type,
            data_root=data_root,
            ann_file="annotations/train.json",
            data_prefix=dict(img="images/train/"),
            filter_cfg=dict(filter_empty_gt=False),
            pipeline=load + [crop, flip, brightness] + pack,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/val.json",
        data_prefix=dict(img="images/val/"),
        test_mode=True,
        pipeline=[read, pack_test],
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/test.json",
        data_prefix=dict(img="images/test/"),
        test_mode=True,
        pipeline=[read, pack_test],
    ),
)
val_evaluator = dict(type="DenseCocoMetric", ann_file=data_root + "annotations/val.json")
test_evaluator = dict(type="DenseCocoMetric", ann_file=data_root + "annotations/test.json")
