.PHONY: audit dist demo check test test-unit test-parallel test-alone test-platforms test-lowest test-pythons test-long lint bench docs setup setup-test
BIN := .venv/bin
# Three more than two cores: while some wait (for a lease, a refresh, a browser), the others have the processor.
WORKERS ?= 5
PARALLEL := -n $(WORKERS) --dist loadgroup
PYTEST := $(BIN)/pytest -q
# The files with tests that are run alone: looking through all the others takes longer than some of these tests.
ALONE = $(shell grep -rl --include='test_*.py' 'pytest.mark.alone' tests)
# Where it is set, each of the many processes of a run compiles every package that it imports.
unexport PYTHONDONTWRITEBYTECODE

demo: setup
	$(BIN)/brain demo

# Lint, types and the unit tests: within a minute.
check: setup-test
	$(MAKE) -j 2 DONE=true lint audit test-unit

# All that guards a promise; what is marked `long` only in its small cut. The tests that run alone leave one of two
# cores to lint, which gives way to them.
test: setup-test
	$(MAKE) DONE=true test-parallel
	$(MAKE) -j 2 DONE=true test-alone lint GENTLY="nice -n 19"

test-unit: setup-test
	$(PYTEST) -n 2 --dist loadgroup tests/unit

test-parallel: setup-test
	HYPOTHESIS_PROFILE=ci $(PYTEST) $(PARALLEL) -m "not long and not alone"

test-alone: setup-test
	$(PYTEST) -m "alone and not long" $(ALONE)

test-long: setup-test
	HYPOTHESIS_PROFILE=long $(PYTEST) $(PARALLEL) -m "not alone" --timeout 3600
	$(PYTEST) -m "alone" --timeout 3600 $(ALONE)
	$(MAKE) test-platforms
	$(MAKE) test-lowest
	$(MAKE) test-pythons

# The stream's tests where the system lacks something (tests/support/missing.py).
STREAM_TESTS := $(addprefix tests/,unit/test_journal.py unit/test_journal_damage.py unit/test_journal_interrupted.py \
	conformance/test_stream.py conformance/test_backend.py)
test-platforms: setup-test
	for lacking in posix_fallocate fdatasync pread register_at_fork; do \
		PYTHONPATH=tests TEST_WITHOUT=$$lacking $(PYTEST) $(PARALLEL) -p support.missing $(STREAM_TESTS) || exit 1; \
	done

# With the lowest versions that pyproject.toml permits, on the lowest Python.
test-lowest: setup-test
	$(BIN)/python scripts/make_environment.py .environments/lowest --lowest
	.environments/lowest/bin/pytest -q $(PARALLEL) -p no:cacheprovider -m "not long and not alone" tests/unit tests/conformance tests/integration

# The unit tests, and those that hold every stream and store, on every newer Python that this machine has.
PYTHONS ?= 3.12 3.13 3.14
test-pythons: setup-test
	for version in $(PYTHONS); do \
		$(BIN)/python scripts/make_environment.py .environments/$$version --python $$version \
			|| { [ $$? -eq 3 ] && continue; exit 1; }; \
		.environments/$$version/bin/pytest -q $(PARALLEL) -p no:cacheprovider -m "not long and not alone" tests/unit tests/conformance \
			tests/integration/test_cli_imports.py tests/integration/test_pytest_plugin.py || exit 1; \
	done

lint: setup
	$(GENTLY) $(BIN)/ruff check .
	$(GENTLY) $(BIN)/ruff format --check .
	$(GENTLY) $(BIN)/mypy
	$(GENTLY) $(BIN)/lint-imports

# Known faults of the packages in uv.lock; where OSV cannot be asked it says that nothing was audited.
audit: setup
	$(BIN)/python scripts/audit_dependencies.py

# The packages to publish, with what they are made of (CycloneDX): dist/*.whl, dist/*.tar.gz, dist/sbom.cdx.json.
dist: setup
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $$(command -v uv || echo .tools/bin/uv) build -q
	$(BIN)/python scripts/make_sbom.py

bench:
	UV_GROUPS="--group bench" scripts/setup test
	$(BIN)/python -m bench

docs: setup
	$(BIN)/brain events catalogue --write docs/events
	$(BIN)/python scripts/draw_architecture.py
	$(BIN)/python scripts/list_api.py
	$(BIN)/python scripts/show_hosts.py
	$(BIN)/python scripts/compile_detections.py

# `DONE=true` says that it is set up.
setup:
	@$(or $(DONE),scripts/setup)

setup-test:
	@$(or $(DONE),scripts/setup test)
