# make all: the environment, the package, the default run.   make test: all tests and linters.
# Each of these can be set: make all PYTHON=python3.12 CORES=8 VENV=/somewhere CONFIG=my.yaml

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
  $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))) \
  python3)
VENV ?= .venv
CORES ?= all
CONFIG ?= config.yaml

BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
IN_ENVIRONMENT := PATH="$(BIN):$$PATH"

.PHONY: all install install-dev lint unit test test-exhaustive format schema wheel clean help

all: install  ## install, then run the configuration (CONFIG) from files to report
	$(IN_ENVIRONMENT) snakemake --cores $(CORES) --configfile $(CONFIG) -- all

install: $(VENV)/.installed  ## make an environment with the package

install-dev: $(VENV)/.installed-dev  ## the same, with what tests and linters need

# torch is installed first and alone: together with other packages, pip may choose a build of several
# gigabytes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "brainflix needs Python 3.11 or newer, but $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1 || true). Name another one: make PYTHON=/path/to/python3" >&2; \
	  exit 2; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing PyTorch, then the rest: some 2 GB, a few minutes"
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev,slurm]'
	@touch $@

lint: install-dev  ## check style, formatting, layers, types and the workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(IN_ENVIRONMENT) snakemake --lint

unit: install-dev  ## run the tests that take a few seconds each at most
	$(IN_ENVIRONMENT) HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m 'not slow'

test: lint  ## run the linters and all tests
	$(IN_ENVIRONMENT) HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

test-exhaustive: install-dev  ## run every published layout through snakemake to videos (ten minutes)
	$(IN_ENVIRONMENT) HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m exhaustive

format: install-dev  ## format all code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

schema: install  ## write workflow/schemas/config.schema.json
	$(BIN)/python -c 'from brainflix.config import json_schema; print(json_schema(), end="")' \
	  > workflow/schemas/config.schema.json

wheel: install-dev  ## build dist/brainflix-*.whl
	$(BIN)/python -m build --wheel

clean:  ## remove the environment and what the default run made, nothing of yours
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m brainflix remove --config config.yaml; fi
	rm -rf $(VENV) build dist

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18
