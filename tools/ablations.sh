#!/usr/bin/env bash
# Run a row of the ablation table (docs/notebook/ablations.md): four folds of the real training images by ablations/light_base.py. A stopped row goes on.
#
#   tools/ablations.sh base              # also: no_pretraining frozen sem paste simulated anchors_8 mask28 mask56
#   tools/ablations.sh base 1            # with another training seed
#   tools/ablations.sh nc                # also: mask_scores flip_scores box_nms; these only test base's weights
#   tools/ablations.sh resnet50          # the paper's network without folds: rendered scenes, both stages (140 minutes of two cores), tested on val
#   tools/ablations.sh resnet50_pairs    # from its stage 1: masks of 28 and 56 px, paste and SEM transforms on and off, 200 steps each, tested on val
#
# It needs data/bam-tio2-sem and checkpoints/light_free.pth, from which all rows but no_pretraining start. JOBS: folds at once (default: 1; on a GPU 4).
# Set OMP_NUM_THREADS=1 for two rows side by side on two cores: threads that wait for one another made steps two to eight times as long.
# The table: tools/compare.py work_dirs/ablations/* --split cv --baseline work_dirs/ablations/base_0
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
row=${1:?name a row; the head of tools/ablations.sh lists them} seed=${2:-0} jobs=${JOBS:-1}
folder=work_dirs/ablations/${row}_$seed tested=work_dirs/ablations/base_$seed
config=configs/tio2/ablations/light_base.py start=() settings=() number=4
cut=data/agglomerates/fold_

folds() {  # OPTION...: cross-validate the row
    "$python" tools/cross_validate.py "$config" --work-dir "$folder" --folds "$number" --seed 0 "${start[@]}" "$@" \
        --cfg-options randomness.seed="$seed" "${settings[@]}"
}

several_folds() {  # train and test folds side by side with an equal share of the cores; `folds` then finds them done
    local threads=$(($(nproc) / jobs))
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 1 ? threads : 1))}
    folds --prepare
    printf '%s\n' "$folder"/cv/fold_*/"$(basename "$config")" |
        xargs -P "$jobs" -I{} sh -c '"$0" tools/train.py {} --resume && "$0" tools/test.py {}' "$python"
}

few_scenes() {
    "$python" tools/render_dataset.py --num 300 --preset mixed --variety 1.6 --seed 303 --fractions 0.96 0.02 0.02 --jobs 2 --out data/rendered-short
}

without_mask_head() {  # CHECKPOINT FILE: write its weights without the mask head's, if FILE is older; so heads of either size begin anew
    mkdir -p work_dirs/ablations
    [ "$2" -nt "$1" ] || "$python" - "$@" <<'EOF'
import sys, torch
checkpoint = torch.load(sys.argv[1], map_location="cpu", weights_only=False)
weights = {name: value for name, value in checkpoint["state_dict"].items() if not name.startswith("roi_head.mask_head.")}
torch.save({"meta": {"left_out": ["roi_head.mask_head"]}, "state_dict": weights}, sys.argv[2])
EOF
}

new_mask_head() {
    without_mask_head checkpoints/light_free.pth work_dirs/ablations/no_mask_head.pth
    start=(--load-from work_dirs/ablations/no_mask_head.pth)
}

pair() {  # NAME CONFIG SETTING...: train the paper's network and test it on val
    local run=work_dirs/ablations/resnet50_$1 config=configs/tio2/ablations/mask_rcnn_short_$2.py
    [ -f "$run/val/metrics.json" ] && return
    "$python" tools/train.py "$config" --work-dir "$run" --resume --cfg-options "${@:3}"
    "$python" tools/test.py "$run/$(basename "$config")" --work-dir "$run"
    rm -f "$run"/epoch_*.pth  # 350 MB each
}

cut_agglomerates() {  # from each fold's own training images
    folds --prepare
    for k in 0 1 2 3; do
        [ -f $cut$k/library.zip ] || "$python" tools/build_library.py --ann "$folder/cv/fold_$k/train.json" \
            --images data/bam-tio2-sem/images/train --background-size 1024 704 --out $cut$k
    done
}

only_test() {  # test the base's weights
    folds --prepare
    for k in 0 1 2 3; do
        mkdir -p "$folder/cv/fold_$k/run"
        cp "$tested/cv/fold_$k/run/"{epoch_4.pth,run.json} "$folder/cv/fold_$k/run/"
    done
}

case $row in
    base) ;;
    no_pretraining | frozen | sem | anchors_8) config=configs/tio2/ablations/light_$row.py ;;
    simulated) # 8 simulated images for each real one, like the paper's 622 to 77
        config=configs/tio2/ablations/light_simulated.py
        export SIMULATED="data/simulated/fold_{fold}"
        cut_agglomerates
        for k in 0 1 2 3; do
            "$python" tools/simulate_dataset.py --ann "$folder/cv/fold_$k/train.json" --images data/bam-tio2-sem/images/train --num 132 \
                --size 1024 704 --count 3 36 --seed $k --jobs 2 --out data/simulated/fold_$k
        done ;;
    paste)
        config=configs/tio2/ablations/light_paste.py
        export AGGLOMERATES="$cut{fold}"
        cut_agglomerates ;;
    mask56) new_mask_head ;;
    mask28) config=configs/tio2/ablations/light_mask28.py; new_mask_head ;;
    box_nms) config=configs/tio2/ablations/light_box_nms_03.py; only_test ;;
    mask_scores) settings=(model.test_cfg.rcnn.mask_scores=True); only_test ;;
    flip_scores) settings=(model.test_cfg.flips=[horizontal] model.test_cfg.rcnn.mask_scores=True); only_test ;;
    nc) settings=(model.test_cfg.flips=[horizontal] model.test_cfg.rcnn.mask_scores=True model.test_cfg.rcnn.refine_boxes=True); only_test ;;
    resnet50)
        few_scenes
        for stage in short short_stage1 short_stage2; do
            "$python" tools/train.py configs/tio2/ablations/mask_rcnn_$stage.py --resume
        done
        "$python" tools/test.py configs/tio2/ablations/mask_rcnn_short_stage2.py
        exit ;;
    resnet50_pairs)
        [ -f data/agglomerates/library.zip ] ||
            "$python" tools/build_library.py --ann data/bam-tio2-sem/annotations/train.json --background-size 1024 704 --out data/agglomerates
        first=work_dirs/mask_rcnn_short_stage1/epoch_4.pth headless=work_dirs/ablations/resnet50_no_mask_head.pth
        without_mask_head $first $headless
        pair mask56 pair load_from=$headless
        pair mask28 pair load_from=$headless model.roi_head.mask_head.type=DenseFCNMaskHead model.train_cfg.rcnn.mask_size=28
        pair plain pair load_from=$first
        pair paste_sem paste_sem load_from=$first
        exit ;;
    *) echo "ablations: there is no row $row; the head of tools/ablations.sh lists them" >&2; exit 2 ;;
esac
[ "$jobs" = 1 ] || several_folds
folds
