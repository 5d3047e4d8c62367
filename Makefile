# The two main commands are `make demo` and `make test`. `make help` lists the others.
#
# PyTorch is installed first and by itself, because its CPU build comes from another index than everything else; the rest
# comes from a lock file with hashes. The names of the stamp files in the environment contain a checksum of what was
# installed, so packages are installed again only when a lock file, pyproject.toml or the build of torch has changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
# cpu, or cuda for PyTorch with CUDA libraries (several GB)
TORCH ?= cpu
TORCH_VERSION := 2.13.0
UV_VERSION := 0.13.9
AUDIT_VERSION := 2.10.1
WORKERS ?= 2
EVENTS ?= 1000000
NAME := charlotte-bags
# where `make lock` finds a CPU wheel of torch: pip's folder of wheels if there is one, else PyTorch's own index
LOCK_TORCH ?= $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend=cpu)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
FROM_LOCK := $(PIP) install --quiet --no-deps --require-hashes
checksum = $(firstword $(shell cat $(1) | cksum))

# pip-audit is run by uv in an environment of its own. Torch is not locked, so it is asked about by itself. An index that
# serves packages but no advisories answers "not found", which pip-audit lets pass unless it is strict.
AUDIT = timeout 300 $(BIN)/uv tool run --quiet pip-audit@$(AUDIT_VERSION) --strict --disable-pip --progress-spinner off
AUDITED = $(AUDIT) --require-hashes -r requirements/dev.txt && $(AUDIT) --no-deps -r <(echo "torch==$(TORCH_VERSION)")

MADE := $(VENV)/.made
TORCH_STAMP := $(VENV)/.torch-$(TORCH)-$(TORCH_VERSION)
RUNTIME_STAMP := $(VENV)/.runtime-$(call checksum,requirements/lock.txt)
DEV_STAMP := $(VENV)/.dev-$(call checksum,requirements/dev.txt)
PROGRAM_STAMP := $(VENV)/.program-$(call checksum,pyproject.toml)

.PHONY: help demo test quick check audit format bench lift lock install install-dev clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: install ## ingest, train, expand and report on the sample data, into demo/
	@rm -rf demo
	@start=$$SECONDS; say() { printf '\n== %s (%d s)\n' "$$1" "$$((SECONDS - start))"; }; \
	run() { say "lookalike $$*"; $(BIN)/lookalike --workspace demo "$$@"; }; \
	run ingest sample_data/events.parquet --items sample_data/items.parquet --users sample_data/users.parquet; \
	run train; \
	run expand audiences/$(NAME).toml; \
	run report $(NAME); \
	say "compared with what happened after the log ends"; \
	$(BIN)/python sample_data/judge.py demo/audiences/$(NAME)/prospects.csv; \
	say "done"; \
	echo "prospect list  $(CURDIR)/demo/audiences/$(NAME)/prospects.csv"; \
	echo "report         $(CURDIR)/demo/audiences/$(NAME)/report.html"

test: install-dev ## run all tests
	$(BIN)/pytest -q -n $(WORKERS)

quick: install-dev ## run the tests that take only seconds
	$(BIN)/pytest -q -n $(WORKERS) -m "not slow"

check: install-dev ## check format, lint and types, and look up known vulnerabilities where there is a network
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@{ $(AUDITED); } >/dev/null 2>&1 || echo "not audited: no advisories here, or some were found; make audit tells"

audit: install-dev ## look up known vulnerabilities of all locked packages (needs a network)
	$(AUDITED)

format: install-dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-dev ## measure time and memory of every step on a log of EVENTS events, beside references
	$(BIN)/python bench/steps.py --events $(EVENTS) --cli $(BIN)/lookalike

lift: install-dev ## measure lift on the benchmark's task sets, beside peers (needs ../shared/bench; about an hour)
	$(BIN)/python bench/lift.py --cli $(BIN)/lookalike

lock: install-dev ## compile requirements/*.txt again from pyproject.toml
	compile() { $(BIN)/uv pip compile --quiet pyproject.toml --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --no-emit-package torch $(LOCK_TORCH) \
	  -c <(echo "torch==$(TORCH_VERSION)+cpu") --extra build "$$@"; }; \
	compile --output-file requirements/lock.txt; \
	compile --extra dev --extra lock --extra ray -c requirements/lock.txt --output-file requirements/dev.txt

clean: ## delete the environment, the demo and caches
	rm -rf $(VENV) demo dist .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

install: $(RUNTIME_STAMP) $(PROGRAM_STAMP) ## install the program and what it needs to run

install-dev: $(DEV_STAMP) $(PROGRAM_STAMP) ## install the same and what tests and checks need

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1); Python 3.11 or newer is needed" >&2; \
	  echo "hint: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "creating $(VENV) (the first time takes about two minutes and 1.8 GB)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Tried in this order: a local folder of wheels if pip is configured with one; PyTorch's own index of CPU wheels, which
# uv knows; the general build.
$(TORCH_STAMP): | $(MADE)
	@echo "installing torch $(TORCH_VERSION) ($(TORCH))"
	@rm -f $(VENV)/.torch-*
	@if [ "$(TORCH)" != cpu ]; then \
	  $(PIP) uninstall --quiet --yes torch; $(PIP) install --quiet "torch==$(TORCH_VERSION)"; \
	elif $(PIP) install --quiet --no-deps "torch==$(TORCH_VERSION)+cpu" 2>/dev/null; then :; \
	elif $(PIP) install --quiet "uv==$(UV_VERSION)" && $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps \
	  --torch-backend cpu "torch==$(TORCH_VERSION)"; then :; \
	else echo "no CPU build of torch was found; on Linux the general build brings several GB of CUDA libraries" >&2; \
	  $(PIP) install --quiet "torch==$(TORCH_VERSION)"; fi
	@touch $@

$(RUNTIME_STAMP): | $(TORCH_STAMP)
	@echo "installing requirements/lock.txt"
	@$(FROM_LOCK) -r requirements/lock.txt
	@touch $@

# dev.txt includes everything in lock.txt, so this sets both stamps.
$(DEV_STAMP): | $(TORCH_STAMP)
	@echo "installing requirements/dev.txt"
	@$(FROM_LOCK) -r requirements/dev.txt
	@touch $@ $(RUNTIME_STAMP)

# The build backend is in the lock file, so this step downloads nothing.
$(PROGRAM_STAMP): | $(RUNTIME_STAMP)
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@
