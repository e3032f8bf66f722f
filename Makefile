# `make demo` and `make test` need Python 3.11 or newer and nothing else: scripts/bootstrap.py makes .venv.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
APP ?= examples/activity
ONLY ?=
TESTS ?=
ROUND ?=

# Trust the certificates this machine trusts, as Python does. Run as on a fresh machine: what was compiled once starts
# three times as fast.
export UV_SYSTEM_CERTS ?= true
unexport PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED

AXE := tests/browser/node_modules/axe-core

.PHONY: help demo test lint wheel-test format golden limits reference bench lock setup axe soak structure clean

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: setup  ## set everything up and open the Activity Recommender (APP=examples/digits for the other one)
	@$(BIN)/matinee dev --app $(APP)

test: setup axe  ## set everything up and run the tests (TESTS=tests/queue for some of them)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(TESTS)

lint: setup  ## style, formatting, types, layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

wheel-test: setup  ## build the wheel and use it in empty environments: lowest versions, newest (ROUND=lowest for one)
	@$(BIN)/python scripts/wheel_test.py $(ROUND)

format: setup  ## put files into the one format
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format

golden: setup  ## renew what the examples deploy, in tests/golden: then read the diff
	@$(BIN)/python scripts/golden.py

limits: setup  ## renew the table of what AWS takes of each string, in src/matinee/stack/limits.json
	@$(BIN)/python scripts/limits.py

reference: setup  ## renew the tables of keys in docs/reference/matinee-toml.md
	@$(BIN)/python scripts/reference.py

bench: setup  ## measure against the floors (ONLY=name for one of them)
	@$(BIN)/python bench/run.py $(ONLY)

structure: setup  ## count the house: files, imports, circles, functions, words
	@$(BIN)/python scripts/structure.py

soak: setup  ## what takes long: one operator changed at a time, and the tests that must notice
	@$(BIN)/python scripts/mutants.py

lock: setup  ## renew requirements/dev.txt
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade --quiet \
		--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file requirements/dev.txt

setup:
	@$(PYTHON) scripts/bootstrap.py

# Without npm or its registry the tests that want it are skipped and say so; where CI is set they fail.
axe: $(AXE)

$(AXE): tests/browser/package-lock.json
	@! command -v npm >/dev/null || npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --silent || true
	@! test -d $@ || touch $@

clean:  ## remove everything made here
	rm -rf .venv build tests/browser/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find examples -type d \( -name .matinee -o -name __pycache__ \) -prune -exec rm -rf {} +
