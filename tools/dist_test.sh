#!/usr/bin/env bash
# Test with torchrun: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR, PORT. BACKEND=gloo runs GPUS processes on the CPU. PYTHON: the interpreter.
set -euo pipefail
[ $# -ge 3 ] || { sed -n 2,3p "$0" >&2; exit 2; }
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
if [ "${BACKEND:-}" = gloo ]; then export CUDA_VISIBLE_DEVICES=-1; fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
