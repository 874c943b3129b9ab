#!/usr/bin/env bash
# Guess: fastjsonschema refuses a schema whose "$schema" is a draft that it does not know, or at least warns.
# Truth: it takes a schema of draft 2020-12 as draft 7 and passes over prefixItems, dependentRequired, minContains and
# unevaluatedProperties without a word; and validating fills "default" values into what it was given.
# Why it matters: VDA 5050 and most tool schemas are 2020-12. A faster validator that says yes to everything new is no check,
# and what is passed on is no longer what was received.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q fastjsonschema==2.22.3 jsonschema==4.26.0
cat >ask.py <<'P'
import fastjsonschema
from jsonschema import Draft202012Validator

cases = [
    ({"prefixItems": [{"type": "string"}]}, [1]),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}),
    ({"contains": {"type": "string"}, "minContains": 2}, ["a"]),
    ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"b": 1}),
]
for rest, value in cases:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **rest}
    try:
        fastjsonschema.compile(schema)(value)
        fast = True
    except fastjsonschema.JsonSchemaValueException:
        fast = False
    print(fast, Draft202012Validator(schema).is_valid(value), end=" ")
given = {}
fastjsonschema.compile({"properties": {"a": {"default": 5}}})(given)
print(given)
P
seen=$(v/bin/python ask.py)
echo "fastjsonschema 2.22.3 beside jsonschema 4.26.0: $seen"
[ "$seen" = "True False True False True False True False {'a': 5}" ]
