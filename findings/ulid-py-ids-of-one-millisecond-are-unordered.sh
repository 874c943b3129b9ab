#!/usr/bin/env bash
# Guess: ULIDs that one process makes one after the other sort in that order.
# Truth: ulid-py orders by the millisecond only: within one, half of the neighbours are swapped; python-ulid keeps the order.
# Both install the module `ulid`: a project that gets both (by a dependency) has a mixture that fails on import or use.
# Why it matters: ids that serve as the order of events, or as a cursor ("after this id"), repeat or skip events of one
# millisecond. Use ulid.monotonic, or another package.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ulid-py==1.1.0
cat >ask.py <<'P'
import ulid

ids = [ulid.new() for _ in range(5000)]
texts = [str(one) for one in ids]
moments = [one.timestamp().int for one in ids]
print(f"ordered {texts == sorted(texts)}, by the millisecond {moments == sorted(moments)}")
P
seen=$(v/bin/python ask.py)
echo "ulid-py 1.1.0: $seen"
[ "$seen" = "ordered False, by the millisecond True" ]
