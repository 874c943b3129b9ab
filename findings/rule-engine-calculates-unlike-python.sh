#!/usr/bin/env bash
# Guess: an expression of the package rule-engine calculates as the same text does in Python.
# Truth: all numbers are Decimal: 0.1 + 0.2 == 0.3 is true, -7 % 3 is -1 and -7 // 2 is -3 (Python: 2 and -4); true is not 1; and
# =~ is anchored at the start, =~~ searches.
# Why it matters: rules that were tried out in Python give other answers there, above all buckets and shares of negative
# numbers. Whoever moves rules to or from it has to check every % and //.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q rule-engine==5.1.0
cat >ask.py <<'P'
from rule_engine import Rule

facts = {"text": "abc", "flag": True}
for expression in ("0.1 + 0.2 == 0.3", "-7 % 3", "-7 // 2", "flag == 1", "text =~ 'b'", "text =~~ 'b'"):
    print(Rule(expression).evaluate(facts), end=" ")
P
seen=$(v/bin/python ask.py)
echo "rule-engine 5.1.0: $seen"
[ "$seen" = "True -1 -3 False False True " ]
