# Each target is a line or two; the programs in tools/ do the work.
python := .venv/bin/python

.PHONY: setup lint test demo bench

setup:  ## make .venv (minutes the first time: mmcv compiles its operators)
	@tools/setup.sh

lint: setup  ## ruff: style, docstrings, imports
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

test: lint  ## lint, then the test suite: up to four processes, each with a module at a time
	@OMP_NUM_THREADS=1 $(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

demo:  ## measure rendered scenes with the shipped model, then set up and train on others; IMAGES=folder only measures yours
	@IMAGES="$(IMAGES)" tools/demo.sh

bench: setup  ## compare time and memory of dense images with MMDetection's own: minutes
	@$(python) tools/benchmarks/dense.py --figure docs/figures/dense_time.png
