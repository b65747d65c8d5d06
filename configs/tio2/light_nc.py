"""How the shipped `nc` model is used: light_finetune.py's weights, with a mirror image, refined boxes and masks' probability in the scores.

    python tools/test.py configs/tio2/light_nc.py checkpoints/light_nc.pth
    python tools/measure.py scans --out results

Nothing to train. What it gains: docs/ablations.md.
"""

_base_ = "./light_finetune.py"

as_shipped = _base_.test_as_shipped
model = dict(test_cfg=dict(as_shipped, rcnn=dict(as_shipped.rcnn, refine_boxes=True)))
