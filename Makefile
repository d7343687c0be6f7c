# Gatefold. Every target does its own set-up first; a second call skips what is done.
#
#   make bitstream MODEL=resnet8          build the accelerator into build/resnet8/deploy
#                                         (CHECKPOINT=FILE: other weights, such as those that a search leaves)
#   make run MODEL=resnet8 MODE=1/4       the board program (simulated where no board is attached)
#   make report MODEL=resnet8             resources, cycles, frames per second
#   make test                             the tests;  make test-all: with the slow ones
#   make test-finn FINN_TESTS=DIR         FINN's own RTL tests on Verilator (docs/finn-simulation.md)
#   make setup                            only both Python environments
#   make clean                            forget the builds;  make distclean: the environments too

MODEL ?= resnet8
MODE  ?= full
BOARD ?= pynq-z2
COUNT ?= 16
JOBS  ?= 2
export PYTHON ?= python3.11

.PHONY: help setup setup-flow setup-board bitstream run report test test-all test-finn clean distclean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

setup: setup-flow setup-board

setup-flow:
	@requirements/setup.sh flow

setup-board:
	@requirements/setup.sh board

bitstream: setup
	@.venv/bin/gatefold build $(MODEL) --board $(BOARD) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

run: setup-board $(if $(wildcard build/$(MODEL)/deploy/modes.json),,bitstream)
	@.venv-board/bin/python board/run.py --model $(MODEL) --mode $(MODE) --count $(COUNT)

report: setup-flow
	@.venv/bin/gatefold report $(MODEL) --board $(BOARD)

test: setup
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(JOBS) --dist loadfile -m "not slow"

test-all: setup
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(JOBS) --dist loadfile

test-finn: setup-flow
	@test -d "$(FINN_TESTS)/tests" || { echo "gatefold: FINN_TESTS names no folder with finn-plus-tests; pip download finn-plus-tests==1.6.0 --no-deps, unzip it, and type make test-finn FINN_TESTS=FOLDER." >&2; exit 2; }
	@test -d build/finn-suite/torchvision || .venv/bin/python -m pip install --quiet --no-deps --target build/finn-suite torchvision==0.28.0
	@cd "$(FINN_TESTS)" && OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR):$(CURDIR)/tests/flow/rtlsim/finn_suite:$(CURDIR)/build/finn-suite" \
		"$(CURDIR)/.venv/bin/python" -m pytest -p plugin -c tests/pyproject.toml --rootdir=. -q -ra --timeout 1800 $(FINN_ARGS) \
		$$("$(CURDIR)/.venv/bin/python" "$(CURDIR)/tests/flow/rtlsim/finn_suite/plugin.py")

clean:
	rm -rf build

distclean: clean
	rm -rf .venv .venv-board gatefold.egg-info
