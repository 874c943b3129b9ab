#!/usr/bin/env bash
# Guess: in the expressions of zen-engine (GoRules) equal lists are equal, len counts letters, whole numbers are exact.
# Truth: a list or an object equals nothing, not even itself; len counts UTF-8 bytes; 9007199254740993 comes back as
# 9007199254740992.0, while 0.1 + 0.2 == 0.3 holds; 5/0 is null.
# Why it matters: a decision table with roles == ["admin"] never fires and says nothing; whoever moves tables to or from this engine
# has to write such cells as membership (in) and to check divisors.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q zen-engine==2.1.3
cat >ask.py <<'P'
import zen

expressions = ["roles == roles", '["a"] == ["a"]', '"a" in roles', 'len("é")', "5/0", "9007199254740993", "0.1 + 0.2 == 0.3"]
print(*(zen.evaluate_expression(expression, {"roles": ["a"]}) for expression in expressions))
P
seen=$(v/bin/python ask.py)
echo "zen-engine 2.1.3: $seen"
[ "$seen" = "False False True 2.0 None 9007199254740992.0 True" ]
