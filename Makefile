# Two commands are enough on a machine with Python 3.11 or newer: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo demo-quick test lint check docs slow ray tinker exports coverage faults fuzz bench figures dist wheel-test clean

demo: $(VENV)/.train
	$(BIN)/gasp demo

demo-quick: $(VENV)/.train
	$(BIN)/gasp demo --quick

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow"

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

# Apart from `test`: Ray takes 240 MB, and its nodes take long to start on a busy machine.
ray: $(VENV)/.dev
	$(PIP) -e ".[ray]"
	$(BIN)/python -m pytest tests/sandbox/test_cluster.py

# A real SkyRL server on this CPU, in an environment of its own, and the contract of engines on it.
# Pip brings it the CUDA build of torch (3 GB), which it does not use: PIP_FIND_LINKS may name another.
SKYRL ?= build/skyrl
tinker: $(VENV)/.dev
	$(PIP) -e ".[tinker-selfhosted]"
	test -x $(SKYRL)/bin/python || $(PYTHON) -m venv $(SKYRL)
	$(SKYRL)/bin/python -m pip install --quiet -r tests/lanes/skyrl/requirements.txt
	GASP_SKYRL=$(SKYRL) $(BIN)/python -m pytest tests/lanes

# An exported curriculum in datasets, TRL and verifiers.
exports: $(VENV)/.dev
	$(PIP) --no-deps -r tests/lanes/exports.txt
	$(BIN)/python -m pytest tests/lanes/test_exports.py

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples

check: lint
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

# The documentation as a site in build/site; a link that leads nowhere is an error.
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

# The tables and figures of the documentation, from what the studies measured.
figures: $(VENV)/.dev
	for name in miniature miniature-flat; do \
	  $(BIN)/gasp study report studies/$$name --to docs/studies/$$name || exit 1; done

# Apart from `check`, which takes a minute: this runs every quick test, and more slowly than `test` does.
coverage: $(VENV)/.dev
	$(BIN)/coverage run -m pytest -m "not slow"
	$(BIN)/coverage report

# A real run killed a hundred times and compared with an unbroken one; an hour or so.
faults: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.kills --kills 100

# A million hostile texts for every parser of what a model writes; an hour or so.
fuzz: $(VENV)/.dev
	$(PIP) atheris
	$(BIN)/python bench/fuzz.py --inputs 1000000

bench: $(VENV)/.dev
	$(BIN)/python bench/decode.py
	$(BIN)/python bench/training.py
	$(BIN)/python bench/step.py

dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist

# The wheel as a user gets it: a clean environment, no network, nothing of this checkout on the path.
wheel-test: DOWNLOAD := $(BIN)/python -m pip download --quiet --disable-pip-version-check \
  -c constraints.txt --dest build/wheels
wheel-test: dist
	$(DOWNLOAD) torch
	$(DOWNLOAD) --find-links build/wheels "$$(ls dist/*.whl)[train]"
	.ci/wheel-test build/wheels

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch
	$(PIP) -e ".[train]"
	touch $@

$(VENV)/.dev: $(VENV)/.train
	$(PIP) -e ".[train,lora,api,export,hub,tensorboard,figures,docs,dev]"
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache
