#!/usr/bin/env bash
# Guess: an integer that goes into a Rego policy through regorus comes back to Python as the integer it was.
# Truth: integers that a double holds exactly come back as float, larger ones as int, each member of a list by itself; so
# count() is 1.0, an id becomes 7.0, and one answer mixes both types.
# Why it matters: who compares our decisions with Rego's, or feeds Rego's answer into JSON, keys or fingerprints, finds 7 and
# 7.0 to be the same number and different texts.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q celine-regorus==0.9.1.post20260227075446
cat >ask.py <<'P'
import json
import regorus


def value(expression, given):
    engine = regorus.Engine()
    engine.set_input_json(json.dumps(given))
    return engine.eval_query("x := " + expression)["result"][0]["bindings"]["x"]


print(value("input.ids", {"ids": [7, 9007199254740993]}), value("count(input.ids)", {"ids": [7]}), json.dumps(value("input.id", {"id": 7})))
P
seen=$(v/bin/python ask.py)
echo "celine-regorus 0.9.1.post20260227075446: $seen"
[ "$seen" = "[7.0, 9007199254740993] 1.0 7.0" ]
