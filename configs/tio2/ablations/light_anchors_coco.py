"""COCO's anchors, 32 to 512 px, instead of 8 to 96 px, on rendered scenes already:

    python tools/train.py configs/tio2/light_rendered.py --work-dir work_dirs/light_rendered_anchors_coco \
        --cfg-options model.rpn_head.anchor_generator.base_sizes=[32,64,128,256,512]
    python tools/train.py configs/tio2/ablations/light_anchors_coco.py

Trained in four folds by tools/ablations.sh, from a shorter pre-training: docs/notebook/ablations.md.
"""

_base_ = "./light_base.py"

load_from = "work_dirs/light_rendered_anchors_coco/epoch_10.pth"
model = dict(rpn_head=dict(anchor_generator=dict(base_sizes=[32, 64, 128, 256, 512])))
