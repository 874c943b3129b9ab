#!/usr/bin/env bash
# Guess: who replaces "pattern" and "patternProperties" of a jsonschema validator by another regular expression engine has
# replaced every place where patterns are used.
# Truth: "additionalProperties" (and "unevaluatedProperties") look up the patterns of "patternProperties" themselves, by Python's
# re; where the engines differ, a name counts as covered for one keyword and as not covered for the other, and nobody checks it.
# Why it matters: RE2 and ECMAScript take \d for 0-9 only, Python for every script's digits. Replace these keywords as well.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q jsonschema==4.26.0
cat >ask.py <<'P'
import re

from jsonschema import Draft202012Validator, validators


def ascii_pattern_properties(validator, patterns, instance, schema):
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            if re.search(pattern, name, re.ASCII):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


Ascii = validators.extend(Draft202012Validator, {"patternProperties": ascii_pattern_properties})
schema = {"patternProperties": {r"^\d+$": {"type": "string"}}, "additionalProperties": False}
for name in ("3", "\u0663", "x"):
    print(ascii(name), Draft202012Validator(schema).is_valid({name: 5}), Ascii(schema).is_valid({name: 5}), end="; ")
P
seen=$(v/bin/python ask.py)
echo "jsonschema 4.26.0, stock and with ASCII digits: $seen"
[ "$seen" = "'3' False False; '\\u0663' False True; 'x' False False; " ]
