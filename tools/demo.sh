#!/usr/bin/env bash
# Make a report with the shipped model, for which nothing is compiled; then set up and train (`make demo`). PYTHON names the interpreter.
#
# With IMAGES it only measures these images. Otherwise it measures rendered scenes, trains both stages on rendered scenes for some
# minutes, tests the model and draws its detections.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS report=work_dirs/demo_measure archive=checkpoints/light_nc.semsize

say() { printf '\ndemo: %s\n' "$*"; }

if [ -f "$archive" ]; then
    environment=work_dirs/demo_environment
    say "1/6 pip install . into $environment: the instrument, without torch and without a compiler"
    python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
    [ -n "$python" ] || { echo "demo: no Python found; install Python 3.11 to 3.13, or name one: PYTHON=/path/to/python make demo" >&2; exit 1; }
    [ -x "$environment/bin/python" ] || "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install -q --disable-pip-version-check .
else
    environment=.venv
    say "1/6 make setup first, to measure on torch: $archive is missing (tools/archive_model.sh nc makes it)"
    tools/setup.sh
fi
if [ -n "${IMAGES:-}" ]; then
    "$environment/bin/semsize" measure "$IMAGES" --out "$report"
    exit
fi
say "2/6 rendering four scenes as microscope files into data/demo-scans, and measuring them"
"$environment/bin/semsize" render --num 4 --size 640 480 --preset agglomerated --fractions 0 0 1 --seed 7 --format tif --data-bar --jobs 2 --out data/demo-scans
"$environment/bin/semsize" measure data/demo-scans/images/test --out "$report" --calibration-uncertainty 0.8%
say "the report of four images took $((SECONDS - began)) s: $PWD/$report/report.html"

say "3/6 setting up the training side (make setup), and rendering scenes into data/demo"
tools/setup.sh
python=.venv/bin/python
"$python" tools/render_dataset.py --num 30 --size 512 352 --preset agglomerated --fractions 0.7 0.1 0.2 --seed 0 --jobs 2 --out data/demo
say "4/6 training stage 1 (frozen backbone)"
"$python" tools/train.py configs/demo/demo_stage1.py
say "5/6 training stage 2 (all layers)"
"$python" tools/train.py configs/demo/demo_stage2.py
say "6/6 testing"
"$python" tools/test.py configs/demo/demo_stage2.py --split test --show-dir work_dirs/demo_stage2/test/overlays
say "done in $(((SECONDS - began) / 60)) min; open $report/report.html and work_dirs/demo_stage2/test/overlays/*.png"
