# SPDX-License-Identifier: Apache-2.0
# Every target does its own set-up: a virtual environment in .venv and an editable install of this checkout.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
CPU_WHEELS := https://download.pytorch.org/whl/cpu
CPP := $(shell find csrc tests -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
KERNEL_TESTS := tests/gpu tests/bench tests/test_isa.py
SOURCES := pyproject.toml setup.py $(filter csrc/%,$(CPP))

.PHONY: help demo test test-most test-kernels sanitize gpu-checks gpu-mutants gpu-budget roofline bench bench-docs bench-inference docs gpu-day check clean

help:
	@echo "make demo    install, train on real images, evaluate, draw heat maps and a report (runs/demo)"
	@echo "make test    install and run the tests"
	@echo "make sanitize  run the tests of the ops on kernels built with the compiler's checks"
	@echo "make gpu-checks  check the GPU kernels thoroughly, without a GPU, half an hour; TRITON=3.7.1 takes that release"
	@echo "make gpu-mutants  plant mistakes in the GPU kernels, see each caught, rewrite docs/gpu_mutants.md"
	@echo "make gpu-budget  rewrite what their machine code may take; make roofline  rewrite docs/roofline.*"
	@echo "make bench   install, time the kernels beside their peers, rewrite docs/performance.* and README"
	@echo "make docs    install, run the blocks of the documentation, build the site: build/docs/index.html"
	@echo "make bench-inference  time whole detectors beside PaDiM, rewrite docs/inference.* and README"
	@echo "make gpu-day  on a machine with a GPU: the tests of its kernels there, sanitizers, registers, times"
	@echo "make check   formatting, lint and types"
	@echo "make clean   remove what the other targets made"

# Smaller images and fewer steps than the preset has: a few minutes on two cores.
demo: $(VENV)/.demo
	rm -rf runs/demo
	$(BIN)/dssm train elpv --out runs/demo --size 160 --set samples=2000 --licence "CC BY-NC-SA 4.0"
	$(BIN)/dssm evaluate runs/demo
	@echo "heat maps: runs/demo/evaluation/heatmaps.png; every image: runs/demo/evaluation/report.html"

# adeval is a published AUPRO to compare with; what it depends on would put a second OpenCV beside the headless one.
# Two runs at once, about as long, each printed when it is done; threads that spin while they wait would take the
# other's cores.
test: $(VENV)/.test
	$(BIN)/pip install --quiet --no-deps adeval==1.1.0
	OMP_WAIT_POLICY=passive $(MAKE) --jobs=2 --output-sync=target test-most test-kernels

test-most:
	$(BIN)/python -m pytest $(addprefix --ignore=,$(KERNEL_TESTS))

test-kernels:
	$(BIN)/python -m pytest $(KERNEL_TESTS)

# All levels and wide vectors, or CHECKS="avx2 wide".
sanitize: $(VENV)/.test
	.ci/sanitize $(abspath $(BIN))/python $(CHECKS)

# With TRITON, another release than the one that is installed, put before it.
gpu-checks: $(VENV)/.test
	$(if $(TRITON),$(BIN)/pip install --quiet --no-deps --upgrade --target build/triton-$(TRITON) triton==$(TRITON))
	PYTHONPATH=$(if $(TRITON),$(abspath build/triton-$(TRITON))) $(BIN)/python -m pytest tests/gpu --thorough

gpu-mutants: $(VENV)/.test
	$(BIN)/python -m pytest tests/gpu -k mutants
	$(BIN)/python -m tests.gpu.mutants.table

gpu-budget: $(VENV)/.test
	$(BIN)/python -m dssm.bench.budget

roofline: $(VENV)/.bench
	TRITON_INTERPRET=1 $(BIN)/python -m dssm.bench.roofline --docs .

bench: $(VENV)/.bench
	$(BIN)/dssm bench --out docs/performance.json --docs .

bench-docs: $(VENV)/.bench
	$(BIN)/dssm bench --report docs/performance.json --docs .

docs: $(VENV)/.test
	$(BIN)/python docs/run.py
	$(BIN)/python -m sphinx -E -W --keep-going -q docs build/docs
	@echo "the site: build/docs/index.html"

bench-inference: $(VENV)/.bench $(VENV)/.export
	$(BIN)/python -m dssm.bench.inference --out docs/inference.json --docs .

gpu-day: $(VENV)/.test,gpu
	$(BIN)/python -m dssm.bench.gpu_day --out runs/gpu_day.json

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

clean:
	rm -rf $(VENV) build runs docs/made *.egg-info dssm/_C*.so

# A torch without CUDA where there is no NVIDIA driver: 200 MB instead of several GB.
$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	if command -v nvidia-smi > /dev/null; then $(BIN)/pip install "$(TORCH)"; \
	else $(BIN)/pip install --no-deps --retries 1 --extra-index-url $(CPU_WHEELS) "$(TORCH)"; fi
	touch $@

$(VENV)/.package: $(VENV)/.torch $(SOURCES)
	$(BIN)/pip install -e .
	touch $@

# What an extra needs; the package itself is not built once more.
$(VENV)/.%: $(VENV)/.package
	$(BIN)/pip install "dssm-surface[$*]"
	touch $@
