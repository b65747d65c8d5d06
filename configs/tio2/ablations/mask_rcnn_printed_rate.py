"""Stage 2 with the second rate as the paper prints it (§3.5): 1e-3 again, so that the rate never falls.

    python tools/train.py configs/tio2/ablations/mask_rcnn_printed_rate.py

The paper names the same rate before and after its change; the base takes the second for a tenth. Needs a GPU; not
trained by us so far, so no figures stand here.
"""

_base_ = "../mask_rcnn_stage2.py"

param_scheduler = []
