"""The paper's anchors, 8 to 96 px, on the real images instead of the 16 to 256 px that `free` learnt.

python tools/train.py configs/tio2/ablations/light_anchors_8.py
"""

_base_ = "./light_base.py"

model = dict(rpn_head=dict(anchor_generator=dict(base_sizes=[8, 16, 32, 64, 96])))
