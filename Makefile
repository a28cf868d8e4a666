# Every verb makes its own virtual environment first and does nothing a second time.
# `make help` lists the verbs.

VENV ?= .venv
OLDEST_VENV ?= .venv-oldest
OLDEST_TRANSFORMERS := 5.20.0
BIN := $(VENV)/bin

# The first interpreter on the path that is new enough; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$candidate && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test test-oldest lint format docs clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## train CRATE and an equal ViT on digits, print the table, write the page
	$(BIN)/wbt compare recipes/image/digits.yaml

test: $(VENV)/.test ## run the whole test suite on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-oldest: $(OLDEST_VENV)/.test ## run the contract tests against the oldest supported transformers
	OMP_NUM_THREADS=1 $(OLDEST_VENV)/bin/python -m pytest -n 2 tests/contract tests/unit/crate

lint: $(VENV)/.test ## formatting, lint, types, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/codespell

format: $(VENV)/.test ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs ## build the documentation; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean: ## remove the environments and what the builds wrote
	rm -rf $(VENV) $(OLDEST_VENV) docs/_build .pytest_cache .ruff_cache .hypothesis

# An interrupted `venv` leaves a folder without pip behind, hence the removal.
%/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "make: no Python >= 3.11 found on PATH;" \
		"install one or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $* || { rm -rf $*; exit 1; }

# A stamp per set of extras: made again only when pyproject.toml changes.
$(VENV)/.demo: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install -e ".[train,analysis]"
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install -e ".[all,dev]"
	@touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install -e ".[all,docs]"
	@touch $@

$(OLDEST_VENV)/.test: pyproject.toml | $(OLDEST_VENV)/pyvenv.cfg
	$(OLDEST_VENV)/bin/python -m pip install -e ".[all,dev]" "transformers==$(OLDEST_TRANSFORMERS)"
	@touch $@
