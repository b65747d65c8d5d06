#!/usr/bin/env bash
# Test with torchrun: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# For several nodes set NNODES, NODE_RANK, MASTER_ADDR, PORT. BACKEND=gloo runs GPUS processes on the CPU. PYTHON names the interpreter.
set -euo pipefail
[ $# -ge 3 ] || { sed -n 2,3p "$0" >&2; exit 2; }
source "$(dirname "$0")/processes.sh"
with_torchrun "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
