#!/usr/bin/env bash
# Guess: `regex: "arm|leg"` of Cerberus accepts arm and leg only, since `regex: ab` refuses abc.
# Truth: it puts a $ behind the text and matches from the start: arm|leg$ accepts "armed" as well, and refuses "legs". In
# another order other values pass. `max: 5` accepts nan.
# Why it matters: kinds of devices, names of queues or commands that are listed so let through what only begins like one,
# depending on its place in the list. Write (arm|leg), or `allowed`.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q cerberus==1.3.8
cat >ask.py <<'P'
from cerberus import Validator


def valid(rule, value):
    return Validator({"x": rule}).validate({"x": value})


for pattern in ("arm|leg", "leg|arm"):
    rule = {"type": "string", "regex": pattern}
    print(f"{pattern}: armed {valid(rule, 'armed')}, legs {valid(rule, 'legs')}", end="; ")
print(f"max 5, nan {valid({'type': 'float', 'max': 5}, float('nan'))}")
P
seen=$(v/bin/python ask.py)
echo "cerberus 1.3.8: $seen"
[ "$seen" = "arm|leg: armed True, legs False; leg|arm: armed False, legs True; max 5, nan True" ]
