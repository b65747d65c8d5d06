#!/usr/bin/env bash
# Makes .venv with everything in requirements.txt; does nothing when that stands already. Called by `make setup`.
# PYTHON names the interpreter to use (default: python3.11, else python3).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

wanted=$(cat requirements.txt pyproject.toml tools/setup.sh | cksum)
stamp=.venv/tio2-setup
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted $PWD" ] && exit 0

python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
command -v "$python" >/dev/null || fail "no Python found${python:+ at $python}; install Python 3.11, or name one: PYTHON=/path/to/python make setup"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "$("$python" --version 2>&1) at $python is not supported; install Python 3.11 to 3.13, or name one: PYTHON=/path/to/python make setup"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "$python has no venv module; install it (Debian: apt-get install python3-venv)"
compiler=${CXX:-$(command -v c++ || command -v g++ || command -v clang++ || true)}
[ -n "$compiler" ] && command -v "${compiler%% *}" >/dev/null ||
  fail "no C++ compiler found, and mmcv's operators must be compiled; install one (Debian: apt-get install build-essential)"

pin() { grep -E "^$1==" requirements.txt || fail "requirements.txt has no pin for $1"; }
pip() { .venv/bin/python -m pip "$@" --disable-pip-version-check; }

say "making .venv with $("$python" --version)"
"$python" -m venv .venv
pip install -q "$(pin setuptools)" "$(pin wheel)" "$(pin ninja)" "$(pin psutil)" "$(pin packaging)"

torch=$(pin torch)
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
  say "installing $torch (a GPU is here)"
  pip install -q "$torch"
else
  export FORCE_CUDA=0
  say "installing $torch, the CPU build"
  if [ "$(uname -s)" != Linux ] || ! pip install -q "$torch+cpu" 2>.venv/torch-cpu.log; then
    say "$torch+cpu is not in your package indexes (README, Two commands, says how to name PyTorch's); taking the default build, which may be several GB"
    pip install -q "$torch"
  fi
fi

say "installing the rest; onedl-mmcv compiles its operators once, about 14 minutes on two cores (later installs take pip's cached wheel)"
pip install -q --no-build-isolation -r requirements.txt
check() { .venv/bin/python -c 'from mmcv.ops import nms, roi_align'; }
if ! check 2>.venv/mmcv-check.log; then
  say "the cached wheel of onedl-mmcv does not fit this torch; compiling it anew"
  pip install -q --no-build-isolation --no-cache-dir --force-reinstall --no-deps "$(pin onedl-mmcv)"
  check || fail "mmcv's operators do not import (the lines above say why)"
fi
pip install -q --no-deps --no-build-isolation -e .
.venv/bin/python -c 'import yapf'  # its grammar's cache: written by two processes at once, it fails the slower one
printf '%s\n' "$wanted $PWD" > "$stamp"
say "done: .venv is ready"
