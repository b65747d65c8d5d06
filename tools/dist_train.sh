#!/usr/bin/env bash
# Train with torchrun: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# For several nodes set NNODES, NODE_RANK, MASTER_ADDR, PORT. BACKEND=gloo runs GPUS processes on the CPU. PYTHON names the interpreter.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
source "$(dirname "$0")/processes.sh"
with_torchrun "$2" train.py "$1" --launcher pytorch "${@:3}"
