# SPDX-License-Identifier: Apache-2.0
# Two commands for a newcomer: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
STAMP := $(VENV)/.ready

.PHONY: setup demo test test-all check format golden bench docs lock clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt tools/gen_stubs.py pyproject.toml
	@$(PYTHON) tools/setup.py $(VENV)
	@touch $(STAMP)

demo: setup
	@$(BIN)/meltemi demo $(ARGS)

test: setup
	@$(BIN)/python tools/test.py $(ARGS)

test-all: setup
	@$(BIN)/python tools/test.py --all $(ARGS)

check: setup
	@$(BIN)/python tools/check.py

format: setup
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

golden: setup
	@GOLDEN_UPDATE=1 $(BIN)/python -m pytest -q tests -m "not live" -k golden

bench: setup
	@$(BIN)/python -m bench $(ARGS)

docs: setup
	@$(BIN)/python tools/docs.py && $(BIN)/python tools/fields.py
	@$(BIN)/python -m tools.tour_svg && $(BIN)/python -m tools.page_png

lock: setup
	@$(BIN)/uv lock -q && $(BIN)/uv export -q --frozen --all-extras --no-emit-project --format requirements-txt --no-header -o requirements/dev.txt
	@$(BIN)/uv export -q --frozen --no-dev --extra demo --no-emit-project --format requirements-txt --no-header -o requirements/run.txt

clean:
	rm -rf $(VENV) stubs build .mypy_cache .ruff_cache .pytest_cache .hypothesis
