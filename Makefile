# make demo   installs into .venv, runs the built-in demo, writes demo/report.html
# make test   installs into .venv, then lint, types and tests
# make docs   builds docs/_build/index.html
# make bench  runs every benchmark in analyses/benchmarks
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo
SEED ?= 0
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint docs bench clean

demo: $(VENV)/.core
	$(BIN)/neurodecode demo --out $(OUT) --seed $(SEED)

test: lint
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.test
	$(BIN)/python docs/build.py

bench: $(VENV)/.test
	for job in analyses/benchmarks/bench_*.py; do $(BIN)/python $$job || exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "neurodecode needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing neurodecode into $(VENV) (a few minutes the first time)"
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(PIP) --editable ".[test,docs,distributed]"
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) docs/_build build dist
