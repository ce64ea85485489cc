# Everything runs inside .venv, which is created from pyproject.toml and constraints.txt when it is missing or out of date.
# PYTHON=python3.13 on the command line keeps an environment of its own, .venv-3.13, beside the default one.
ifeq ($(origin PYTHON),command line)
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
else
PYTHON := $(shell command -v python3.11 || command -v python3)
VENV := .venv
endif
STAMP := $(VENV)/.stamp
RUN := $(VENV)/bin/python
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help install train test test-slow faults lint tables docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## create or update .venv

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "error: Python 3.11 or later is needed: make PYTHON=..." >&2; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[adroit,wandb,dev]'
	@touch $@

train: $(STAMP) ## collect, train, evaluate and film the 2-D particle task by the default recipe; ends with a report
	@$(RUN) scripts/train.py experiment=particle_2d policy=implicit trainer.num_steps=3000 resume=true

test: $(STAMP) lint ## lint, types, import contracts and the tests
	@$(RUN) -m pytest -n 2 --dist worksteal

test-slow: $(STAMP) ## the tests that train until something is learned
	@$(RUN) -m pytest -n 2 --dist worksteal -m slow

faults: $(STAMP) ## hostile and damaged files, kills, races; at most an hour, ends with a table
	@OMP_NUM_THREADS=1 $(RUN) -m benchmarks.faults results/faults.json

lint: $(STAMP) ## style, strict types and the direction of imports
	@$(VENV)/bin/ruff format --check --quiet . || { echo "not formatted: run $(VENV)/bin/ruff format ." >&2; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@$(VENV)/bin/lint-imports > /dev/null || $(VENV)/bin/lint-imports

tables: $(STAMP) ## write the tables of README and docs from results/*.json
	@$(RUN) scripts/tables.py

docs: .venv-docs/.stamp ## write the documentation site to site/; needs neither torch nor a network while it is written
	@ln -sfn ../envs .venv-docs/ibc_envs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet
	@echo "open site/index.html"

# What the extra "docs" names, without this project itself: the site is made of its text alone.
.venv-docs/.stamp: pyproject.toml constraints.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	$(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')" \
		| .venv-docs/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -r /dev/stdin
	@touch $@

clean: ## remove .venv and caches; runs and data stay
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info site
