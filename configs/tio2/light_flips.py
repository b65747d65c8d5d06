"""light_finetune.py's weights, each image looked at in its three mirror images too: more accurate, 3.6 times as slow.

    python tools/test.py configs/tio2/light_flips.py checkpoints/light_nc.pth
    python tools/measure.py scans --config configs/tio2/light_flips.py --checkpoint checkpoints/light_nc.pth --out results

Nothing to train. What it gains: docs/ablations.md.
"""

_base_ = "./light_finetune.py"

model = dict(test_cfg=dict(flips=["horizontal", "vertical", "diagonal"]))
