# Everything a newcomer needs: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check figures clean

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("slidelab needs Python 3.11 or newer; call make PYTHON=python3.12, say") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## paint a Ki-67 phantom slide, score it, print the index beside the truth
	$(BIN)/slidelab demo --out demo

test: $(STAMP)  ## run every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)  ## style, types and the import road
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .types && ln -sfn "$(CURDIR)" .types/slidelab
	cd .types && MYPYPATH=. ../$(BIN)/mypy --config-file ../pyproject.toml -p slidelab
	cd .types && PYTHONPATH=. ../$(BIN)/lint-imports --config ../pyproject.toml

figures: $(STAMP)  ## measure again what docs/accuracy.md and docs/performance.md say
	$(BIN)/python scripts/accuracy.py
	$(BIN)/python scripts/performance.py

clean:
	rm -rf $(VENV) .types build dist *.egg-info demo
