# Everything works on a fresh clone with Python 3.11+ and make: the first target that needs it makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One thread: beside another busy process, two OpenMP threads are up to twenty times slower than one.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup demo test test-slow check format docs clean

help:
	@echo "make demo       search, train and measure a network on real digits (a few minutes)"
	@echo "make test       the test suite (under 10 minutes on 2 cores)"
	@echo "make test-slow  the heavy sweeps that 'make test' leaves out"
	@echo "make check      lint, format and types: what CI runs beside the tests"
	@echo "make format     format the code"
	@echo "make docs       make docs/networks.md and its drawings from the data"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hwnas needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (about 6 GB with torch; once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/hwnas fit --budget 40% --out runs/demo

# Two processes: each may take 2 GB, and what is measured in tests must not fight over cores.
test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

docs: setup
	$(BIN)/python docs/make_networks.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
