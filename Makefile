# Everything a developer or a newcomer does here. Needs Python 3.11 or newer, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := $(VENV)/.extras

.PHONY: help install demo check test test-slow bench bench-scale lock clean

help:
	@echo "make demo       the whole road on real photographs, offline (creates $(VENV) first)"
	@echo "make test       the test suite (needs a C++ compiler, for PaCMAP); make test-slow runs the marked, longer tests"
	@echo "make check      ruff, mypy --strict, import-linter, codespell"
	@echo "make bench      speed and memory, side by side with peers (about half an hour); make bench ONLY='NAME --quick' …"
	@echo "make bench-scale  what each step costs over 10,000 to 1,000,000 rows (ten minutes); ONLY=--full for 10,000,000, too"
	@echo "make lock       refresh constraints.txt from pyproject.toml"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("probekit needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Installing probekit and its locked dependencies into $(VENV) (several GB, a few minutes) …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

# What only the tests need: PaCMAP builds a C++ extension, which a newcomer's first two commands do without.
$(EXTRAS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,lora,pacmap,ray,remote,umap]'
	@touch $(EXTRAS)

demo: $(READY)
	$(BIN)/probekit demo

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	$(BIN)/codespell

test: $(EXTRAS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-slow: $(EXTRAS)
	$(BIN)/python -m pytest -m slow -n 2 --dist loadgroup

bench: $(READY)
	$(BIN)/python -m tests.benchmarks $(ONLY)

bench-scale: $(READY)
	$(BIN)/python -m tests.benchmarks.scale $(ONLY)

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --no-header --no-annotate --output-file constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
