# Every target sets up what it needs on a machine that has only Python 3.11+, make and the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help setup lock lint test demo bench chaos docs clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.ready ## Make the virtual environment from the hashed lock file

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "detector needs Python 3.11 or later; name it with make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile $(LOCK) --extra dev -o requirements.lock pyproject.toml
	uv pip compile $(LOCK) -c requirements.lock -o requirements-runtime.lock pyproject.toml
	echo 'hatchling>=1.27' | uv pip compile $(LOCK) -c requirements.lock -o requirements-build.lock -

lint: setup ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup ## Run all tests: unit, integration on a real Kafka and a real Ray, short chaos
	$(BIN)/python -m pytest -n 2 tests/unit
	$(BIN)/python -m pytest --ignore=tests/unit

demo: setup ## Watch real attacks being caught on a real Kafka (ARGS="--for 0")
	$(BIN)/detector demo $(ARGS)

bench: setup ## Print the figures of every benchmark
	$(BIN)/python -m tests.bench all --json

chaos: setup ## Run the whole fault suite
	for fault in kill stop worker broker rebalance zombie poison clock sink reload storm backlog; do \
		$(BIN)/python -m tests.chaos $$fault --json || exit 1; \
	done

docs: setup ## Write the generated pages of docs/ anew
	$(BIN)/python -m tests.docs

clean: ## Remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
