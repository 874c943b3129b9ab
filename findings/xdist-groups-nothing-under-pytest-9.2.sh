#!/usr/bin/env bash
# Guess: `--dist loadgroup` keeps the tests of one xdist_group on one worker, with every pytest that pytest-xdist installs beside.
# Truth: pytest-xdist 3.8.0 marks the group in a private attribute that pytest 9.1 names tests by and 9.2 does not: with 9.2.0
# the tests of a group are spread over all workers. No warning, no error; the option is accepted as before.
# Why it matters: whoever tests handlers on one real Redis, port or browser per group has them shared by several workers: tests
# fail now and then, or take longer, and nothing points to the update. `-v` shows it: test names lack their `@group`.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat >test_it.py <<'P'
import os
import time

import pytest


@pytest.mark.xdist_group("server")
@pytest.mark.parametrize("n", range(12))
def test_it(n, request):
    time.sleep(0.1)  # so that the other worker has time to take one
    with open("workers", "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
P
seen=""
for version in 9.1.1 9.2.0; do
    python3 -m venv "v$version"
    "v$version/bin/pip" install -q "pytest==$version" pytest-xdist==3.8.0
    rm -f workers
    "v$version/bin/pytest" -q -n 2 --dist loadgroup -p no:cacheprovider test_it.py >/dev/null
    seen="$seen$version: $(sort -u workers | wc -l) worker(s); "
done
echo "pytest-xdist 3.8.0, one group of 12 tests, 2 workers: $seen"
[ "$seen" = "9.1.1: 1 worker(s); 9.2.0: 2 worker(s); " ]
