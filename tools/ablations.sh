#!/usr/bin/env bash
# One row of the ablation table (docs/ablations.md): four folds of the real training images, 240 steps each; begun again it goes on.
#
#   tools/ablations.sh base              # also: frozen no_pretraining sem simulated paste; box_nms scale_2 flips (base's weights, only tested)
#   tools/ablations.sh base 1            # with another training seed
#   tools/ablations.sh short             # also: mask28 anchors_coco: from ImageNet, 480 steps on rendered scenes under their own settings first
#
# It needs data/bam-tio2-sem; all but no_pretraining and the last three start from work_dirs/light_rendered/epoch_20.pth (tools/train_models.sh),
# the last three render data/rendered. The table: tools/compare.py work_dirs/ablations/* --split cv --baseline work_dirs/ablations/base_0
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
row=${1:?which row? the head of tools/ablations.sh names them} seed=${2:-0}
folder=work_dirs/ablations/${row}_$seed tested=work_dirs/ablations/base_$seed
config=configs/tio2/light_finetune.py start=() settings=()
sets=train_dataloader.dataset.dataset cut=data/agglomerates/fold_

folds() {  # OPTION...: cross-validate the row
    "$python" tools/cross_validate.py "$config" --work-dir "$folder" --folds 4 --seed 0 "${start[@]}" "$@" --cfg-options train_cfg.max_epochs=3 \
        train_dataloader.sampler.num_batches=80 param_scheduler.1.end=3 randomness.seed="$seed" "${settings[@]}"
}

pretrain() {  # SETTING...: rendered scenes from ImageNet weights, a quarter of light_rendered.py's steps
    local run=work_dirs/ablations/${row}_rendered
    "$python" tools/render_dataset.py --num 640 --preset mixed --fractions 0.95 0.025 0.025 --seed 101 --jobs 2 --out data/rendered
    "$python" tools/train.py configs/tio2/light_rendered.py --work-dir "$run" --resume --cfg-options train_cfg.max_epochs=6 train_cfg.val_interval=6 \
        train_dataloader.sampler.num_batches=80 param_scheduler.1.end=6 param_scheduler.0.end=50 "$@"
    start=(--load-from "$run/epoch_6.pth")
}

cut_agglomerates() {  # of each fold's own training images
    folds --prepare
    for k in 0 1 2 3; do
        [ -f $cut$k/library.zip ] || "$python" tools/build_library.py --ann "$folder/cv/fold_$k/train.json" \
            --images data/bam-tio2-sem/images/train --background-size 1024 704 --out $cut$k
    done
}

only_test() {  # the base's weights
    folds --prepare
    for k in 0 1 2 3; do
        mkdir -p "$folder/cv/fold_$k/run"
        cp "$tested/cv/fold_$k/run/"{epoch_3.pth,run.json} "$folder/cv/fold_$k/run/"
        realpath "$folder/cv/fold_$k/run/epoch_3.pth" > "$folder/cv/fold_$k/run/last_checkpoint"
    done
}

case $row in
    base) ;;
    frozen | no_pretraining | sem) config=configs/tio2/ablations/light_$row.py ;;
    simulated) # 8 simulated images to a real one, as the paper's 622 to 77
        config=configs/tio2/ablations/light_simulated.py settings=("$sets.datasets.1.data_root=data/simulated/fold_{fold}/")
        cut_agglomerates
        for k in 0 1 2 3; do
            "$python" tools/simulate_dataset.py --ann "$folder/cv/fold_$k/train.json" --images data/bam-tio2-sem/images/train --num 132 \
                --size 1024 704 --count 3 36 --seed $k --jobs 2 --out data/simulated/fold_$k
        done ;;
    paste)
        config=configs/tio2/ablations/light_paste.py
        settings=("$sets.pipeline.2.library=$cut{fold}/library.zip" "$sets.pipeline.2.backgrounds=$cut{fold}/backgrounds" \
            "$sets.pipeline.3.library=$cut{fold}/library.zip")
        cut_agglomerates ;;
    box_nms) config=configs/tio2/ablations/light_box_nms_03.py; only_test ;;
    flips) config=configs/tio2/light_flips.py; only_test ;;
    scale_2) settings=(val_dataloader.dataset.pipeline.1.scale_factor=2.0); only_test ;;
    short) pretrain ;;
    mask28)
        config=configs/tio2/ablations/light_mask28.py
        pretrain model.roi_head.mask_head.type=DenseFCNMaskHead model.train_cfg.rcnn.mask_size=28 ;;
    anchors_coco)
        config=configs/tio2/ablations/light_anchors_coco.py
        pretrain model.rpn_head.anchor_generator.base_sizes='[32,64,128,256,512]' ;;
    *) echo "ablations: there is no row $row; the head of tools/ablations.sh names them" >&2; exit 2 ;;
esac
folds
