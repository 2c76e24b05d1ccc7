# Two commands for a newcomer: `make demo` and `make test`.  Both make what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-tensorrt lint suite bench clean

demo: $(VENV)/.demo
	$(BIN)/offramp demo --out build/demo

# Everything that CI runs, in the order in which it fails soonest.
test: $(VENV)/.dev lint suite

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

suite: $(VENV)/.dev
	$(BIN)/python -m pytest

# Optional: a real TensorRT parses and builds every piece of every family; several GB, several minutes, no GPU.
# tensorrt-rtx is NVIDIA's, under NVIDIA's licence, and part of no extra of ours.
test-tensorrt: $(VENV)/.tensorrt
	$(BIN)/python -m pytest -m tensorrt

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.all --quick

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The demo installs what a user would: no torch, no developer's tools.
$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[partition,report]'
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.tensorrt: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[dev,families]' tensorrt-rtx
	touch $@ $(VENV)/.dev $(VENV)/.demo

clean:
	rm -rf build $(VENV)
