.PHONY: demo check test test-unit test-parallel test-platforms test-lowest test-pythons test-long lint bench docs setup setup-test
BIN := .venv/bin
# As many as cores: with more, servers and browsers of the tests fight for the processor and miss their deadlines.
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist loadgroup
PYTEST := $(BIN)/pytest -q
# Where it is set, each of the many processes of a run compiles every package that it imports.
unexport PYTHONDONTWRITEBYTECODE

demo: setup
	$(BIN)/brain demo

# Lint, types and the unit tests: within a minute.
check: setup-test
	$(MAKE) -j 2 lint test-unit

# All that guards a promise; what is marked `long` only in its small cut.
test: setup-test
	$(MAKE) -j 2 lint test-parallel
	$(PYTEST) -m "alone and not long"

test-unit: setup-test
	$(PYTEST) -n 2 tests/unit

test-parallel: setup-test
	HYPOTHESIS_PROFILE=ci $(PYTEST) $(PARALLEL) -m "not long and not alone"

test-long: setup-test
	HYPOTHESIS_PROFILE=long $(PYTEST) $(PARALLEL) -m "not alone" --timeout 3600
	$(PYTEST) -m "alone" --timeout 3600
	$(MAKE) test-platforms
	$(MAKE) test-lowest
	$(MAKE) test-pythons

# The stream's tests where the system lacks something (tests/support/missing.py).
STREAM_TESTS := $(addprefix tests/,unit/test_journal.py unit/test_journal_damage.py conformance/test_stream.py \
	conformance/test_backend.py)
test-platforms: setup-test
	for lacking in posix_fallocate fdatasync pread register_at_fork; do \
		PYTHONPATH=tests TEST_WITHOUT=$$lacking $(PYTEST) $(PARALLEL) -p support.missing $(STREAM_TESTS) || exit 1; \
	done

# With the lowest versions that pyproject.toml permits, on the lowest Python.
test-lowest: setup-test
	$(BIN)/python scripts/make_environment.py .environments/lowest --lowest
	.environments/lowest/bin/pytest -q $(PARALLEL) -p no:cacheprovider -m "not long and not alone" tests/unit tests/integration

# The unit tests on every newer Python that this machine has.
PYTHONS ?= 3.12 3.13 3.14
test-pythons: setup-test
	for version in $(PYTHONS); do \
		$(BIN)/python scripts/make_environment.py .environments/$$version --python $$version \
			|| { [ $$? -eq 3 ] && continue; exit 1; }; \
		.environments/$$version/bin/pytest -q $(PARALLEL) -p no:cacheprovider -m "not long and not alone" tests/unit \
			|| exit 1; \
	done

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
	$(BIN)/python scripts/draw_architecture.py
	$(BIN)/python scripts/list_api.py
	$(BIN)/python scripts/show_hosts.py
	$(BIN)/python scripts/compile_detections.py

setup:
	@scripts/setup

setup-test:
	@scripts/setup test
