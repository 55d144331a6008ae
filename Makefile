# The developer's whole interface: run, test, up, down. CI runs `make test`.
# the first of these that is new enough; `make PYTHON=...` picks another
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$name; exit; fi; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.r1vl-installed
LOCK := infra/requirements.lock
# options of `make soak`, such as SOAK="--kills 4 --no-aimed"
SOAK ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test lint types contracts soak format up down

help:
	@echo "make run     set up, start Prefect and MLflow on loopback, run r1vl/full-pipeline, print the result"
	@echo "make test    set up, run every check (what CI runs)"
	@echo "make soak    kill training many times, and compare every bit (20 minutes at most on two quiet cores)"
	@echo "make up      set up, start the servers and deploy"
	@echo "make down    end the servers"
	@echo "make format  let ruff lay out the code"
	@echo "PYTHON=python3.12 make run   picks the interpreter of the environment (3.11 or newer)"

setup: $(STAMP)

# Installs again only when the lock or the package's own description changed.
$(STAMP): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "r1vl needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there'). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "could not make $(VENV): is the venv module installed (Debian: apt-get install python3-venv)?" >&2; rm -rf $(VENV); exit 2; }
	@echo "installing $$(grep -c == $(LOCK)) packages into $(VENV) from $(LOCK): about a minute and a half, quietly (PyTorch is most of it) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -r $(LOCK) -e '.[dev]'
	@# pip compiles on one core. Packages' own tests are left out; a few templates are no Python, which is no failure of ours
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@touch $@
	@echo "installed"

run: setup
	@$(BIN)/r1vl submit full-pipeline

test: setup
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint types contracts
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

soak: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m tests.soak.kills $(SOAK)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: setup
	@$(BIN)/r1vl up

down:
	@if test -x $(BIN)/r1vl; then $(BIN)/r1vl down; else echo "nothing is installed in $(VENV), so nothing of ours is running"; fi
