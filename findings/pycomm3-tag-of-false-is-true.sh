#!/usr/bin/env bash
# Guess: `if plc.read("EStop"):` asks for the value: a Tag whose value is False or 0 is false.
# Truth: a Tag of pycomm3 is true when the read succeeded, whatever the value; only a failed read is false.
# Why it matters: a check of an emergency stop or an interlock passes on each healthy PLC, and "not plc.read(...)" is true only when
# the wire is cut, so a test with the cable pulled looks right. Compare `.value`, and look at `.error` apart.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pycomm3==1.2.16
cat >ask.py <<'P'
from pycomm3 import Tag

read = {
    "False": Tag("EStop", False, "BOOL", None),
    "0": Tag("Speed", 0, "DINT", None),
    "failed": Tag("EStop", None, "BOOL", "no route"),
}
print(*(f"{name} is {bool(tag)}" for name, tag in read.items()), sep=", ")
P
seen=$(v/bin/python ask.py)
echo "pycomm3 1.2.16, truth of what a read gives: $seen"
[ "$seen" = "False is True, 0 is True, failed is False" ]
