#!/usr/bin/env bash
# Train the models of checkpoints/ from nothing but ImageNet weights; stopped and started again it goes on.
#
#   tools/train_models.sh          # `free`: rendered scenes only
#   tools/train_models.sh nc       # then `nc`: the real images of data/bam-tio2-sem (docs/training-log.md says how long each takes)
# The shipped weights were trained on scenes by the renderer of commit 88d06be; the present one draws others for the same seeds.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

stage() {  # CONFIG: train it to its end, or on from where it stopped
    echo "train_models: $1"
    "$python" tools/train.py "configs/tio2/$1.py" --resume
}

split="0.95 0.025 0.025"
"$python" tools/render_dataset.py --num 640 --preset mixed --fractions $split --seed 101 --jobs 2 --out data/rendered
"$python" tools/render_dataset.py --num 320 --preset mixed --variety 1.6 --fractions $split --seed 202 --jobs 2 --out data/rendered-varied
stage light_rendered
stage light_free
"$python" tools/publish.py work_dirs/light_free/epoch_10.pth work_dirs/light_free/light_free.pth
if [ "${1:-free}" = nc ]; then
    stage light_finetune
    "$python" tools/publish.py work_dirs/light_finetune/epoch_10.pth work_dirs/light_finetune/light_nc.pth
fi
