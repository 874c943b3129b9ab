.PHONY: demo test test-long lint bench docs setup setup-test
BIN := .venv/bin

demo: setup
	$(BIN)/brain demo

test: setup-test lint
	$(BIN)/pytest -q

test-long: setup-test
	HYPOTHESIS_PROFILE=long $(BIN)/pytest -q -m "long or not long" --timeout 3600

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench:
	UV_GROUPS="--group bench" scripts/setup test
	$(BIN)/python -m bench

docs: setup
	$(BIN)/brain events catalogue --write docs/events

setup:
	@scripts/setup

setup-test:
	@scripts/setup test
