"""SEM transforms (paper §3.2: one or several of blur, contrast, noise, brightness) in place of PhotoMetricDistortion.

    python tools/train.py configs/tio2/ablations/light_sem.py

Not trained by us so far, so no figures stand here.
"""

_base_ = "../light_stage2.py"

sem = [
    dict(
        type="OneOrMoreOf",
        transforms=[
            dict(type="SEMGaussianBlur", sigma_range=(0.0, 1.5)),
            dict(type="SEMContrast", factor_range=(0.7, 1.4)),
            dict(type="SEMGaussianNoise", std_range=(0.0, 8.0)),
            dict(type="SEMMultiply", factor_range=(0.7, 1.3)),
        ],
        prob=0.75,
    )
]
augment = _base_.augment[:-1] + sem
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.load + augment + _base_.pack)))
