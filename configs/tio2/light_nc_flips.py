"""light_nc.py with all three mirror images of each image: a little more accurate, nearly twice as slow.

    python tools/test.py configs/tio2/light_nc_flips.py checkpoints/light_nc.pth
    python tools/measure.py scans --config configs/tio2/light_nc_flips.py --checkpoint checkpoints/light_nc.pth --out results

It needs no training. Val AP50 0.875, mAP 0.624, by light_nc.py 0.874, 0.617 (checkpoints/light_nc.md); in folds: docs/notebook/ablations.md.
"""

_base_ = "./light_nc.py"

model = dict(test_cfg=dict(flips=["horizontal", "vertical", "diagonal"]))
