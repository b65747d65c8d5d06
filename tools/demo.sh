#!/usr/bin/env bash
# What `make demo` runs: rendered scenes, both stages of training on them, a test with overlays. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

say() { printf '\ndemo: %s\n' "$*"; }
began=$SECONDS
say "1/4 rendering scenes into data/demo"
"$python" tools/render_dataset.py --num 30 --size 512 352 --preset agglomerated --fractions 0.7 0.1 0.2 --seed 0 --jobs 2 --out data/demo
say "2/4 training stage 1 (frozen backbone)"
"$python" tools/train.py configs/demo/demo_stage1.py
say "3/4 training stage 2 (everything)"
"$python" tools/train.py configs/demo/demo_stage2.py
say "4/4 testing"
"$python" tools/test.py configs/demo/demo_stage2.py --split test --show-dir work_dirs/demo_stage2/test/overlays
say "done in $(((SECONDS - began) / 60)) min; open work_dirs/demo_stage2/test/overlays/*.png"
