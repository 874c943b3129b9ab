#!/usr/bin/env bash
# Guess: str() of a pySigma string value is Sigma text that means the same when it is read again.
# Truth: a backslash before a wildcard is written once. C:\\* (a folder, then anything) prints as C:\*, and that is the literal
# name of a star; to_dict() of the whole rule keeps what was written.
# Why it matters: tools that rewrite or store single values by str() turn patterns for Windows folders into literals that match
# nothing. Keep the rule's own text, or use to_dict().
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma==2.0.1
cat >ask.py <<'P'
from sigma.rule import SigmaRule
from sigma.types import SigmaString

written = r"C:\\*"
value = SigmaString(written)
detection = {"s": {"f": written}, "condition": "s"}
rule = SigmaRule.from_dict({"title": "t", "logsource": {"product": "x"}, "detection": detection})
kept = rule.to_dict()["detection"]["s"]["f"] == written
print(str(value), value.contains_special(), SigmaString(str(value)).contains_special(), kept)
P
seen=$(v/bin/python ask.py)
echo "pysigma 2.0.1, text, wildcard before and after, to_dict keeps: $seen"
[ "$seen" = 'C:\* True False True' ]
