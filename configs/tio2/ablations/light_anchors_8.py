"""The paper's anchors, 8 to 96 px, on the real images instead of the 16 to 256 px that `free` learnt.

    python tools/train.py configs/tio2/ablations/light_anchors_8.py      # in four folds: tools/ablations.sh anchors_8

In four folds mAP 0.56 and AP90 0.19, base 0.57 and 0.25 (docs/notebook/ablations.md); they take a CPU core 30 minutes.
"""

_base_ = "./light_base.py"

model = dict(rpn_head=dict(anchor_generator=dict(base_sizes=[8, 16, 32, 64, 96])))
