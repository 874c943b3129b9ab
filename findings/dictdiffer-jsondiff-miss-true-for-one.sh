#!/usr/bin/env bash
# Guess: a diff of two JSON documents reports that 1 became true, or 0 became false: JSON knows them as different.
# Truth: dictdiffer and jsondiff compare by Python's equality and report nothing. jsonpatch reports both changes.
# Why it matters: a review or an audit of changed rules, limits or settings that is made from such a diff shows nothing where a
# condition no longer holds, since engines do tell 1 from true.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q dictdiffer==0.10.0 jsondiff==2.2.1 jsonpatch==1.48
cat >ask.py <<'P'
import dictdiffer
import jsondiff
import jsonpatch

old, new = {"limit": 1, "live": [0]}, {"limit": True, "live": [False]}
print(list(dictdiffer.diff(old, new)), jsondiff.diff(old, new), len(list(jsonpatch.make_patch(old, new))))
P
seen=$(v/bin/python ask.py)
echo "dictdiffer 0.10.0, jsondiff 2.2.1, jsonpatch 1.48 (changes): $seen"
[ "$seen" = "[] {} 2" ]
