#!/usr/bin/env bash
# Guess: an expression of asteval that fails (a missing name, a division by zero) raises.
# Truth: it prints to stderr and answers None, as an expression without a value does, also for a syntax error; only
# raise_errors=True in the call raises. `load = 9` is an assignment that stays for the next call.
# Why it matters: a rule `load / limit > 0.9` whose limit is 0 or not sent is None, which `if` takes as false: no alarm, no
# denial, and a line on stderr that nobody reads. Pass raise_errors=True.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q asteval==1.0.10
cat >ask.py <<'P'
import io

from asteval import Interpreter

rules = Interpreter(err_writer=io.StringIO())
rules.symtable.update(load=5, limit=0)
answers = [rules(text) for text in ("load / limit > 0.9", "lod > 0.9", "load > ")]
try:
    rules("load / limit > 0.9", raise_errors=True)
    raised = "nothing"
except ZeroDivisionError:
    raised = "ZeroDivisionError"
rules("load = 9")
print(*answers, end=", ")
print(f"with raise_errors: {raised}, load is then {rules('load')}")
P
seen=$(v/bin/python ask.py)
echo "asteval 1.0.10: $seen"
[ "$seen" = "None None None, with raise_errors: ZeroDivisionError, load is then 9" ]
