#!/usr/bin/env bash
# Guess: a CEF parser undoes the format's escapes, so that msg=a\=b is read as a=b and \n as a line break.
# Truth: pycef gives extension values with their backslashes, and where a cs1Label stands beside cs1 the key cs1 is gone: its
# value is under the label's text.
# Why it matters: an audit log that is exported as CEF and read back with pycef differs from what was written in every value
# with an equals sign, a backslash or a line break, and look-ups of cs1 find nothing.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pycef==1.11
cat >ask.py <<'P'
import pycef

read = pycef.parse(r"CEF:0|Vendor|Product|1|42|Denied|5|msg=limit\=5\nsecond line filePath=C:\\logs cs1Label=agent cs1=a1")
print(repr(read["msg"]), repr(read["filePath"]), read.get("cs1"), read.get("agent"))
P
seen=$(v/bin/python ask.py)
echo "pycef 1.11: $seen"
[ "$seen" = "'limit\\\\=5\\\\nsecond line' 'C:\\\\\\\\logs' None a1" ]
