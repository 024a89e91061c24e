# Everything works offline after `make setup` and without a GPU.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo

.PHONY: setup demo test check fix bench docs

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,data,tb,onnx,mtl,slurm]'
	touch $@

demo: setup
	$(BIN)/polymod demo --out $(DEMO)

test: setup
	$(BIN)/pytest -n 2 --dist worksteal

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

fix: setup
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: setup
	$(BIN)/polymod bench --suite cpu

docs: setup
	$(BIN)/pytest tests/docs
