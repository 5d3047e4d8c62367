# Two commands matter: `make demo` and `make test`. `make help` lists the others.
#
# PyTorch is installed by itself, first, because its CPU build comes from another place than everything else; the rest
# comes from a lock with hashes. Stamps in the environment carry a checksum of what they stand for, so a target installs
# again only when a lock, pyproject.toml or the kind of torch has changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
# cpu, or cuda for PyTorch with its CUDA libraries (several GB)
TORCH ?= cpu
TORCH_VERSION := 2.13.0
UV_VERSION := 0.13.9
WORKERS ?= 2
EVENTS ?= 1000000
NAME := charlotte-bags
# where a CPU wheel of torch lies, for `make lock`; elsewhere: LOCK_TORCH=--torch-backend=cpu
LOCK_TORCH ?= $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend=cpu)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
FROM_LOCK := $(PIP) install --quiet --no-deps --require-hashes
checksum = $(firstword $(shell cat $(1) | cksum))

MADE := $(VENV)/.made
TORCH_STAMP := $(VENV)/.torch-$(TORCH)-$(TORCH_VERSION)
RUNTIME_STAMP := $(VENV)/.runtime-$(call checksum,requirements/lock.txt)
DEV_STAMP := $(VENV)/.dev-$(call checksum,requirements/dev.txt)
PROGRAM_STAMP := $(VENV)/.program-$(call checksum,pyproject.toml)

.PHONY: help demo test quick check format bench lift lock install install-dev clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: install ## ingest, train, expand and report on the shipped log, into demo/
	@rm -rf demo
	@start=$$SECONDS; say() { printf '\n== %s (%d s)\n' "$$1" "$$((SECONDS - start))"; }; \
	run() { say "lookalike $$*"; $(BIN)/lookalike --workspace demo "$$@"; }; \
	run ingest sample_data/events.parquet --items sample_data/items.parquet --users sample_data/users.parquet; \
	run train; \
	run expand audiences/$(NAME).toml; \
	run report $(NAME); \
	say "against what happened after the log ends"; \
	$(BIN)/python sample_data/judge.py demo/audiences/$(NAME)/prospects.csv; \
	say "done"; \
	echo "prospect list  $(CURDIR)/demo/audiences/$(NAME)/prospects.csv"; \
	echo "report         $(CURDIR)/demo/audiences/$(NAME)/report.html"

test: install-dev ## every test
	$(BIN)/pytest -q -n $(WORKERS)

quick: install-dev ## the tests that take seconds
	$(BIN)/pytest -q -n $(WORKERS) -m "not slow"

check: install-dev ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install-dev ## put the code into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-dev ## time and memory of every step at EVENTS events, beside their references
	$(BIN)/python bench/steps.py --events $(EVENTS) --cli $(BIN)/lookalike

lift: install-dev ## lift on the benchmark's task sets beside its peers (needs ../shared/bench; about an hour)
	$(BIN)/python bench/lift.py --cli $(BIN)/lookalike

lock: install-dev ## compile requirements/*.txt anew from pyproject.toml
	compile() { $(BIN)/uv pip compile --quiet pyproject.toml --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --no-emit-package torch $(LOCK_TORCH) \
	  -c <(echo "torch==$(TORCH_VERSION)+cpu") --extra build "$$@"; }; \
	compile --output-file requirements/lock.txt; \
	compile --extra dev --extra lock --extra ray -c requirements/lock.txt --output-file requirements/dev.txt

clean: ## remove the environment, the demo and caches
	rm -rf $(VENV) demo dist .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

install: $(RUNTIME_STAMP) $(PROGRAM_STAMP) ## the program with what it needs to run

install-dev: $(DEV_STAMP) $(PROGRAM_STAMP) ## and with what the tests and checks need

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1); Python 3.11 or newer is needed" >&2; \
	  echo "hint: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "making $(VENV) (first time: about two minutes and 1.8 GB)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# A local folder of wheels if pip is told of one; then PyTorch's own CPU wheels, whose place uv knows; then what there is.
$(TORCH_STAMP): | $(MADE)
	@echo "installing torch $(TORCH_VERSION) ($(TORCH))"
	@rm -f $(VENV)/.torch-*
	@if [ "$(TORCH)" != cpu ]; then \
	  $(PIP) uninstall --quiet --yes torch; $(PIP) install --quiet "torch==$(TORCH_VERSION)"; \
	elif $(PIP) install --quiet --no-deps "torch==$(TORCH_VERSION)+cpu" 2>/dev/null; then :; \
	elif $(PIP) install --quiet "uv==$(UV_VERSION)" && $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps \
	  --torch-backend cpu "torch==$(TORCH_VERSION)"; then :; \
	else echo "no CPU build of torch could be had; on Linux the general one brings several GB of CUDA libraries" >&2; \
	  $(PIP) install --quiet "torch==$(TORCH_VERSION)"; fi
	@touch $@

$(RUNTIME_STAMP): | $(TORCH_STAMP)
	@echo "installing requirements/lock.txt"
	@$(FROM_LOCK) -r requirements/lock.txt
	@touch $@

# dev.txt holds all of lock.txt: both stamps are earned.
$(DEV_STAMP): | $(TORCH_STAMP)
	@echo "installing requirements/dev.txt"
	@$(FROM_LOCK) -r requirements/dev.txt
	@touch $@ $(RUNTIME_STAMP)

# The build backend stands in the lock, so nothing is fetched for this step.
$(PROGRAM_STAMP): | $(RUNTIME_STAMP)
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@
