#!/usr/bin/env bash
# What `make demo` runs. PYTHON names the interpreter.
#
# With IMAGES: measures these images with the shipped model. Without: measures rendered scenes with it, then trains both stages on
# rendered scenes for some minutes, tests, and draws.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

say() { printf '\ndemo: %s\n' "$*"; }
began=$SECONDS
if [ -n "${IMAGES:-}" ]; then
    "$python" tools/measure.py "$IMAGES" --out work_dirs/demo_measure
    exit
fi
say "1/5 rendering scenes into data/demo, and as a microscope's files into data/demo-scans"
"$python" tools/render_dataset.py --num 30 --size 512 352 --preset agglomerated --fractions 0.7 0.1 0.2 --seed 0 --jobs 2 --out data/demo
"$python" tools/render_dataset.py --num 4 --size 640 480 --preset agglomerated --fractions 0 0 1 --seed 7 --format tif --data-bar --jobs 2 --out data/demo-scans
say "2/5 measuring data/demo-scans with the shipped model"
"$python" tools/measure.py data/demo-scans/images/test --out work_dirs/demo_measure --calibration-uncertainty 0.8%
say "3/5 training stage 1 (frozen backbone)"
"$python" tools/train.py configs/demo/demo_stage1.py
say "4/5 training stage 2 (everything)"
"$python" tools/train.py configs/demo/demo_stage2.py
say "5/5 testing"
"$python" tools/test.py configs/demo/demo_stage2.py --split test --show-dir work_dirs/demo_stage2/test/overlays
say "done in $(((SECONDS - began) / 60)) min; open work_dirs/demo_measure/report.html and work_dirs/demo_stage2/test/overlays/*.png"
