#!/usr/bin/env bash
# Train a model of checkpoints/ from nothing but ImageNet weights; a stopped training goes on when started again.
#
#   tools/train_models.sh scenes   # only render the detectors' training scenes
#   tools/train_models.sh free     # `free`: rendered scenes and EMPS' images (docs/training.md says how to fetch data/emps)
#   tools/train_models.sh nc       # `nc`: rendered scenes, then the real images of data/bam-tio2-sem
#   tools/train_models.sh visibility     # the visibility model: outlines that checkpoints/light_free.pth finds in rendered scenes, covered particles of EMPS
#   tools/train_models.sh visibility_nc  # from checkpoints/visibility_free.pth, with the states that people gave to the particles of data/bam-tio2-sem,
#                                        # outlines of `nc` and of four folds of it (tools/ablations.sh base, half an hour of a core)
#   tools/train_models.sh resnet50 # the paper's network: rendered scenes in place of COCO, then its two stages; needs a GPU (on a CPU: tools/ablations.sh resnet50)
#
# A model takes about 10 minutes on a GPU (resnet50: hours) and 2 to 4 hours on one CPU core, from the times of their steps (docs/notebook/training-log.md).
# Without a GPU batches are computed in parts of 2, whose gradients add up: a batch of 8 takes 19 GiB as a whole, 10 in parts. JOBS: processes that render
# (default: 2). PROCESSES=2: without a GPU two processes train, each on one image of every part.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
wanted=${1:?name scenes, free, nc, visibility, visibility_nc or resnet50} processes=${PROCESSES:-1}

render() {  # OPTION...: render scenes, nearly all for training
    "$python" tools/render_dataset.py --fractions 0.97 0.015 0.015 --jobs "${JOBS:-2}" "$@"
}

stage() {  # CONFIG: train to the end, resuming a stopped training
    echo "train_models: $1"
    local config=configs/tio2/$1.py options=(--resume --images-at-once $((2 / processes)))
    if command -v nvidia-smi >/dev/null; then
        "$python" tools/train.py "$config" --resume
    elif [ "$processes" = 1 ]; then
        "$python" tools/train.py "$config" "${options[@]}"
    else
        BACKEND=gloo PYTHON="$python" tools/dist_train.sh "$config" 2 "${options[@]}"
    fi
}

cover() {  # SET OPTION...: lay its training particles over one another, once
    local covered=data/covered-${1%-tio2-sem}
    [ -f "$covered/annotations/train.json" ] ||
        "$python" tools/cover_particles.py --ann "data/$1/annotations/train.json" --split train --out "$covered" "${@:2}"
}

find_outlines() {  # DETECTOR SET SPLIT: find its outlines in the split, unless these are newer than its weights
    local found=work_dirs/light_$1/$2-$3/predictions.json weights=checkpoints/light_$1.pth
    [ "$found" -nt "$weights" ] || "$python" tools/test.py "configs/tio2/light_$1.py" "$weights" --data "data/$2" --split "$3"
}

publish() {  # CONFIG NAME: write its last weights as they ship
    "$python" tools/publish.py "work_dirs/$1" "work_dirs/$1/light_$2.pth"
}

case $processes in
    1 | 2) ;;
    *) echo "train_models: PROCESSES is 1 or 2, not $processes; on several GPUs: tools/dist_train.sh" >&2; exit 2 ;;
esac
case $wanted in
    scenes | free | nc | visibility | visibility_nc) ;;
    resnet50) command -v nvidia-smi >/dev/null || { echo "train_models: resnet50 needs a GPU; in small: tools/ablations.sh resnet50" >&2; exit 2; } ;;
    *) echo "train_models: there is no $wanted; the head of tools/train_models.sh lists the models" >&2; exit 2 ;;
esac
case $wanted in
    visibility*)
        render --num 120 --preset mixed --variety 1.6 --seed 505 --fractions 1 0 0 --out data/outlines-mixed
        render --num 130 --preset varied --variety 1.6 --pixel-size 1.8 3.7 7.344 14.7 --seed 606 --fractions 0.93 0.07 0 --out data/outlines-varied
        render --num 16 --seed 1907 --fractions 0 0 1 --out data/rendered-validation
        find_outlines free outlines-varied train
        if [ "$wanted" = visibility_nc ]; then
            cover bam-tio2-sem --rounds 4
            find_outlines nc outlines-mixed train
            find_outlines nc bam-tio2-sem val
            for row in base nc; do tools/ablations.sh $row; done
            "$python" tools/train.py configs/tio2/visibility_nc.py --resume
            exit
        fi
        cover emps
        for of in "outlines-mixed train" "outlines-varied val" "rendered-validation test"; do find_outlines free $of; done
        "$python" tools/train.py configs/tio2/visibility_free.py --resume
        exit ;;
esac
render --num 820 --preset agglomerated --seed 101 --out data/rendered
render --num 720 --preset mixed --variety 1.6 --seed 202 --out data/rendered-varied
case $wanted in
    free)
        render --num 300 --preset mixed --variety 1.6 --seed 303 --fractions 0.96 0.02 0.02 --out data/rendered-short
        render --num 360 --preset varied --variety 1.6 --pixel-size 1.8 3.7 7.344 14.7 --seed 404 --fractions 0.96 0.02 0.02 --out data/rendered-scales
        stage light_one_scale; stage light_free; publish light_free free ;;
    resnet50)
        export TIO2_COCO_WEIGHTS=work_dirs/mask_rcnn_rendered/epoch_10.pth
        for config in mask_rcnn_rendered mask_rcnn_stage1 mask_rcnn_stage2; do stage $config; done ;;
    nc) stage light_rendered; stage light_nc; publish light_nc nc ;;
esac
