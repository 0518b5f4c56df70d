# Every target makes the environment that it needs (.venv); a second run does not install again.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Python keeps what it compiles, even where the environment forbids it: the tests start hundreds of processes
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test collect lint type proto proto-go proto-check bench fuzz soak check clean

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rasterflight needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --editable '.[all]' --group dev
	touch $@

demo: $(READY)  ## Index the bundled scenes, serve them, read NDVI per borough, draw a picture
	$(BIN)/python examples/borough_ndvi.py

test: $(READY)  ## All tests, three files at a time: many wait more than they work. In the order of testpaths, so that no long file is last
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

collect: $(READY)  ## That all modules of tests can be imported: seconds, not minutes
	$(BIN)/python -m pytest --collect-only -qq

lint: $(READY)  ## Style, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(READY)  ## Strict types
	$(BIN)/mypy

proto: $(READY)  ## Generate the Python messages from proto/
	$(BIN)/python proto/generate.py

proto-go: $(READY)  ## Generate the Go messages from proto/ (needs go)
	$(BIN)/python proto/generate_go.py

proto-check: $(READY)  ## Fail when the checked-in messages are not what proto/ says
	$(BIN)/python proto/generate.py --check

bench: $(READY)  ## Read scenes with rasterflight, the floor and other libraries, in turn; ratios (ARGS="--quick")
	$(BIN)/python tests/benchmarks/run.py $(ARGS)

fuzz: $(READY)  ## 105,000 changed tickets, commands and streams: no crash, no hang, nothing told (ARGS="--seed 7")
	$(BIN)/python tests/fuzz/run.py $(ARGS)

soak: $(READY)  ## 64 clients for ten minutes, some of them rude (ARGS="--minutes 1")
	$(BIN)/python tests/soak/run.py $(ARGS)

check: lint type proto-check collect test  ## What CI runs

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
