#!/usr/bin/env bash
# Guess: in YARA, `not (x == 0)` is true whenever `x == 0` is not, and adding `or false` changes nothing.
# Truth: where x cannot be read (a byte behind the file's end), both `x == 0` and `not (x == 0)` fail; `not (x == 0 or false)`
# holds, since `or` turns undefined into false and `not` does not. yara-python and yara-x agree.
# Why it matters: a detection that excludes a header ("not a PNG") never fires on short files; a harmless change of the
# condition makes it fire. Begin with `filesize >` or with `defined`.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q yara-python==4.5.4 yara-x==1.23.0
cat >ask.py <<'P'
import yara
import yara_x

CONDITIONS = ("uint8(100) == 0", "not (uint8(100) == 0)", "not (uint8(100) == 0 or false)")
rules = [f"rule r {{ condition: {condition} }}" for condition in CONDITIONS]
print(
    [bool(yara.compile(source=rule).match(data=b"ab")) for rule in rules],
    [bool(yara_x.compile(rule).scan(b"ab").matching_rules) for rule in rules],
)
P
seen=$(v/bin/python ask.py)
echo "yara-python 4.5.4 and yara-x 1.23.0, x = 0 and its negations on two bytes: $seen"
[ "$seen" = "[False, False, True] [False, False, True]" ]
