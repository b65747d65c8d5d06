#!/usr/bin/env bash
# Make the archive of a shipped model: export it, test the archive, write its bias record and put the record into the archive.
#
#   tools/archive_model.sh visibility_free; tools/archive_model.sh visibility_nc   # first: the detectors then make their records
#   tools/archive_model.sh free    # leaves checkpoints/light_free.semsize, its .sha256, a line in light_free.md,
#   tools/archive_model.sh nc      # and a record for ONNX Runtime in light_free.bias.json
#
# INT8=FOLDER: convolutions in 8-bit integers, calibrated on this folder's images (only if tools/benchmarks/engines.py accepts the archive).
# The shipped archives are made in this way, with six rendered scenes (docs/notebook/engines.md).
# The record rests on the validation images of data/bam-tio2-sem and on 100 scenes rendered into data/rendered-record;
# SETS="FOLDER:SPLIT …" names other data sets, OTHERS="FOLDER:SPLIT …" scenes of another renderer, for the visibility
# record (docs/notebook/visibility.md says how to render them). CHECKPOINTS names another folder for weights and results.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python} name=${1:?visibility_free, visibility_nc, free or nc?} folder=${CHECKPOINTS:-checkpoints}
sets=${SETS:-data/bam-tio2-sem:val data/rendered-record:test}

shipped=$("$python" -c 'import sys
from semsize.detecting.models import SHIPPED, VISIBILITY
models = {**SHIPPED, **{f"visibility_{name}": model for name, model in VISIBILITY.items()}}
model = models.get(sys.argv[1]) or sys.exit(f"archive_model: there is no {sys.argv[1]}; name one of {list(models)}")
print(model.config, model.checkpoint.stem, model.licence, sep="\n")' "$name")
{ read -r config; read -r stem; read -r licence; } <<< "$shipped"
weights=$folder/$stem.pth run=work_dirs/archive_$name
archive=$run/$stem.semsize pairs=()

state_in_card() {  # add a line to the model's card, once
    grep -q "$stem.semsize" "$folder/$stem.md" ||
        sed -i "/^| config |/a | archive | \`$stem.semsize\`, the same weights for ONNX Runtime; SHA-256 in \`$stem.semsize.sha256\` |" "$folder/$stem.md"
}

if [[ $name = visibility_* ]]; then
    "$python" tools/export_onnx.py "$config" "$weights" --out "$folder/$stem.semsize" --licence "$licence"
    (cd "$folder" && sha256sum "$stem.semsize" > "$stem.semsize.sha256")
    state_in_card
    exit
fi
seen=$folder/visibility_$name.semsize
[ ! -f "$seen" ] || pairs+=(--visibility "$seen")

[ -n "${SETS:-}" ] ||
    "$python" tools/render_dataset.py --num 100 --preset mixed --variety 1.6 --seed 2712 --fractions 0 0 1 --jobs "${JOBS:-2}" --out data/rendered-record
mkdir -p "$run"
"$python" tools/export_onnx.py "$config" "$weights" --out "$archive" --licence "$licence" ${INT8:+--int8 "$INT8"}
test_set() {  # FOLDER:SPLIT: test the archive; sets truth, predictions, images
    local data=${1%:*} split=${1##*:}
    "$python" tools/test.py "$config" "$archive" --work-dir "$run" --data "$data" --split "$split"
    truth=$data/annotations/$split.json predictions=$run/$(basename "$data")-$split/predictions.json images=$data/images/$split
}
for set in $sets; do
    test_set "$set"
    pairs+=(--pair "$truth" "$predictions" --images "$images")
done
for set in ${OTHERS:-}; do
    test_set "$set"
    pairs+=(--other "$truth" "$predictions" "$images")
done
"$python" tools/validate.py --checkpoint "$weights" "${pairs[@]}"
"$python" tools/publish.py "$archive" "$folder/$stem.semsize"
state_in_card
