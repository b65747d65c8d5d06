"""The mask branch learns in boxes that the box branch has corrected, as it finds them in tests, instead of in the RPN's proposals.

    python tools/train.py configs/tio2/ablations/light_refined_masks.py

One fold of four was trained: docs/notebook/ablations.md, "Begun".
"""

_base_ = "./light_base.py"

model = dict(train_cfg=dict(rcnn=dict(refine_boxes=True)))
