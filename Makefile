# Gatefold. Every target does its own set-up first; a second call skips what is done.
#
#   make bitstream MODEL=resnet8          build the accelerator into build/resnet8/deploy, and its bitstream where Vivado or the
#                                         open tools are installed (CHECKPOINT=FILE: other weights, such as those that a search
#                                         leaves; BOARD=pynq-z1, pynq-z2 or zedboard)
#   make bitstream MODEL=mynet.py:Net     a network of your own, a class on Gatefold's layers, into build/Net (CHECKPOINT=FILE: its
#                                         weights; docs/guide/own-network.md)
#   make bitstream MODEL=path/my.onnx     a network of your own, as Brevitas' export_qonnx wrote it, into build/my/deploy (CLASSES=FILE:
#                                         names of its classes, one a line; SAMPLES=FILE: .npz with sample images x; MEAN, DEVIATION:
#                                         what its pixels were normalised with, numbers separated by commas)
#   make run MODEL=resnet8 MODE=1/4       the board program (simulated where no board is attached); builds what is not built
#                                         yet, or not for the CHECKPOINT or BOARD that is named
#   make deploy MODEL=resnet8 HOST=xilinx@192.168.2.99    the board program with the build in it onto a board, by rsync or tar over
#                                         ssh, into gatefold/ (FOLDER=DIR: elsewhere); without HOST into a .zip that runs where it is unpacked
#   make report MODEL=resnet8             resources, cycles, frames per second
#   make test                             the tests;  make test-all: with the slow ones
#   make proofs                           the RTL's proofs by induction, and the faults that they must find
#   make test-finn FINN_TESTS=DIR         FINN's own RTL tests on Verilator (docs/finn-simulation.md)
#   make setup                            only both Python environments
#   make clean                            forget the builds;  make distclean: the environments too; both leave runs/
#
# GATEFOLD_BUILD names another folder than build/.

MODEL ?= resnet8
MODE  ?= full
COUNT ?= 16
JOBS  ?= 2
export PYTHON ?= python3.11

# Values reach the shell through its environment, as they were typed: nothing in them is run, by make or by the shell.
override MODEL      := $(value MODEL)
override MODE       := $(value MODE)
override COUNT      := $(value COUNT)
override JOBS       := $(value JOBS)
override PYTHON     := $(value PYTHON)
override CHECKPOINT := $(value CHECKPOINT)
override BOARD      := $(value BOARD)
override CLASSES    := $(value CLASSES)
override SAMPLES    := $(value SAMPLES)
override MEAN       := $(value MEAN)
override DEVIATION  := $(value DEVIATION)
override HOST       := $(value HOST)
override FOLDER     := $(value FOLDER)
override FINN_TESTS := $(value FINN_TESTS)
override FINN_ARGS  := $(value FINN_ARGS)
export gf_model      := $(MODEL)
export gf_mode       := $(MODE)
export gf_count      := $(COUNT)
export gf_jobs       := $(JOBS)
export gf_checkpoint := $(CHECKPOINT)
export gf_board      := $(BOARD)
export gf_classes    := $(CLASSES)
export gf_samples    := $(SAMPLES)
export gf_mean       := $(MEAN)
export gf_deviation  := $(DEVIATION)
export gf_host       := $(HOST)
export gf_folder     := $(FOLDER)
export gf_finn_tests := $(FINN_TESTS)
export gf_finn_args  := $(FINN_ARGS)

# The network's name: that of a QONNX file without folder and ending, or the class of FILE.py:CLASS.
name   = case "$$gf_model" in *.py:*) name="$${gf_model\#\#*:}";; *.onnx) name="$${gf_model\#\#*/}"; name="$${name%.onnx}";; *) name="$$gf_model";; esac
folder = "$${GATEFOLD_BUILD:-build}/$$name"
board  = --board="$${gf_board:-pynq-z2}"
pixels = $${gf_mean:+--mean="$$gf_mean"} $${gf_deviation:+--deviation="$$gf_deviation"}
own    = $${gf_classes:+--classes="$$gf_classes"} $${gf_samples:+--samples="$$gf_samples"} $(pixels)
build  = .venv/bin/gatefold build $(board) $${gf_checkpoint:+--checkpoint="$$gf_checkpoint"} $(own) -- "$$gf_model"

.PHONY: help setup setup-flow setup-board bitstream run deploy report test test-all test-finn proofs clean distclean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

setup: setup-flow setup-board

setup-flow:
	@requirements/setup.sh flow

setup-board:
	@requirements/setup.sh board

bitstream: setup
	@$(build)
	@$(name); .venv/bin/python hw/shell/implement.py --if-installed -- $(folder)

run: setup-board
	@$(name); if [ -n "$$gf_checkpoint" ] || [ ! -e $(folder)/deploy/modes.json ] || \
	    { [ "$$name" != "$$gf_model" ] && { [ "$$gf_model" -nt $(folder)/deploy/modes.json ] || \
	        [ "$$(cat $(folder)/origin 2>/dev/null)" != "$$(realpath -m -- "$$gf_model")" ]; }; } || \
	    { [ -n "$$gf_board" ] && ! grep -qiF "\"board\": \"$$gf_board\"" $(folder)/deploy/modes.json; }; \
	then requirements/setup.sh flow && $(build); fi
	@$(name); .venv-board/bin/python board/run.py --model="$$name" --mode="$$gf_mode" --count="$$gf_count"

deploy: setup-flow
	@.venv/bin/gatefold deliver $${gf_host:+--host="$$gf_host"} $${gf_folder:+--folder="$$gf_folder"} -- "$$gf_model"

report: setup-flow
	@.venv/bin/gatefold report $(board) $(pixels) -- "$$gf_model"

test: setup
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n "$$gf_jobs" --dist loadfile -m "not slow"

test-all: setup
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n "$$gf_jobs" --dist loadfile

proofs: setup-flow
	@.venv/bin/python -m pytest -q tests/hw/proofs

test-finn: setup-flow
	@test -d "$$gf_finn_tests/tests" || { echo "gatefold: FINN_TESTS names no folder with finn-plus-tests; pip download finn-plus-tests==1.6.0 --no-deps, unzip it, and type make test-finn FINN_TESTS=FOLDER." >&2; exit 2; }
	@test -d build/finn-suite/torchvision || .venv/bin/python -m pip install --quiet --no-deps --target build/finn-suite torchvision==0.28.0
	@root=$$PWD; suite=$$root/tests/flow/simulation/finn_suite; cd "$$gf_finn_tests" && OMP_NUM_THREADS=1 PYTHONPATH="$$root:$$suite:$$root/build/finn-suite" \
	    "$$root/.venv/bin/python" -m pytest -p plugin -c tests/pyproject.toml --rootdir=. -q -ra --timeout 1800 $$gf_finn_args \
	    $$("$$root/.venv/bin/python" "$$suite/plugin.py")

# Trained weights that an earlier version or --output has put into build/ stay.
clean:
	@for entry in build/* build/.[!.]*; do \
	    if [ -n "$$(find "$$entry" \( -name '*.safetensors' -o -name checkpoint.pt \) -print -quit 2>/dev/null)" ]; \
	    then echo "gatefold: $$entry holds trained weights and stays."; \
	    else rm -rf -- "$$entry"; fi; \
	done; [ ! -d build ] || rmdir build 2>/dev/null || true
	@echo "gatefold: the builds in build/ are gone; trained networks in runs/ stay, and so does what GATEFOLD_BUILD or GATEFOLD_RUNS name."

distclean: clean
	rm -rf .venv .venv-board gatefold.egg-info
