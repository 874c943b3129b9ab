#!/usr/bin/env bash
# Guess: simpleeval refuses what is no expression: an assignment, or two expressions behind each other.
# Truth: it answers with the value on the right of "=", and with the first of two expressions, and only warns; a.items of a dict
# is Python's method even when the dict has a key "items".
# Why it matters: a condition with the usual slip, state = 'open', is true for every event. Turn its warnings into errors, and
# name keys by brackets.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q simpleeval==1.0.8
cat >ask.py <<'P'
import warnings

from simpleeval import simple_eval

with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    assigned = simple_eval("state = 'open'", names={"state": "closed"})
    first = simple_eval("1 > 2; 2 > 1")
print(assigned, first, len(warned), callable(simple_eval("a.items", names={"a": {"items": 3}})))
P
seen=$(v/bin/python ask.py)
echo "simpleeval 1.0.8: $seen"
[ "$seen" = "open False 2 True" ]
