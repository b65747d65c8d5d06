#!/usr/bin/env bash
# Train with torchrun: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR, PORT. BACKEND=gloo runs GPUS processes on the CPU. PYTHON: the interpreter.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
CONFIG=$1
GPUS=$2
if [ "${BACKEND:-}" = gloo ]; then export CUDA_VISIBLE_DEVICES=-1; fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
