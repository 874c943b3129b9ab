.PHONY: demo check test test-long lint bench docs setup setup-test
BIN := .venv/bin
# More workers than two cores: the tests wait for servers and time-outs much of the time.
WORKERS ?= 4
PYTEST := $(BIN)/pytest -q -n $(WORKERS) --dist loadgroup

demo: setup
	$(BIN)/brain demo

# Lint, types and the unit tests: within a minute.
check: setup-test lint
	$(PYTEST) tests/unit

# All that guards a promise; what is marked `long` only in its small cut.
test: setup-test lint
	HYPOTHESIS_PROFILE=ci $(PYTEST)

test-long: setup-test
	HYPOTHESIS_PROFILE=long $(PYTEST) -m "long or not long" --timeout 3600

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
