#!/usr/bin/env bash
# Guess: msgspec, strict in what it reads (1e400 is "out of range"), also refuses to write a number that JSON does not have.
# Truth: its JSON encoder writes NaN and both infinities as null without a word; the field is then of another type.
# Why it matters: a measurement of NaN in an event, a proof or a fingerprint turns into "no value", and two different contexts
# get one text. Whoever encodes values of others has to look for non-finite numbers first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q msgspec==0.22.0
cat >ask.py <<'P'
import msgspec


class Reading(msgspec.Struct):
    value: float


try:
    back = msgspec.json.decode(msgspec.json.encode(Reading(float("nan"))), type=Reading)
except msgspec.ValidationError:
    back = "not readable as the type that was written"
print(msgspec.json.encode([float("nan"), float("inf"), float("-inf")]).decode(), back)
P
seen=$(v/bin/python ask.py)
echo "msgspec 0.22.0: $seen"
[ "$seen" = "[null,null,null] not readable as the type that was written" ]
