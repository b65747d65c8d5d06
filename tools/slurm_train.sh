#!/usr/bin/env bash
# Train under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# Variables: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS; BACKEND=gloo requests no GPU and runs GPUS processes on CPUs.
set -euo pipefail
[ $# -ge 4 ] || { sed -n 2,3p "$0" >&2; exit 2; }
source "$(dirname "$0")/processes.sh"
with_slurm "$1" "$2" train.py "$3" --work-dir="$4" --launcher=slurm "${@:5}"
