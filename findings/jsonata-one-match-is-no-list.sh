#!/usr/bin/env bash
# Guess: a JSONata filter gives a list: of no, one or more matches.
# Truth: no match is nothing (None), one match is the item itself, more are a list. Written items[...][], one match is a list of
# one, but no match is still None.
# Why it matters: a rule or mapping that was tried with two alerts fails or counts the keys of the one ($count is right, len()
# is not) when there is a single one. Write [] behind each filter and treat None as empty.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q jsonata-python==0.7.1
cat >ask.py <<'P'
from jsonata import Jsonata

alerts = {"items": [{"p": 1}, {"p": 6}, {"p": 7}]}


def matches(ending):
    return ", ".join(str(Jsonata(f"items[p > {least}]{ending}").evaluate(alerts)) for least in (9, 6, 5))


print(f"{matches('')}; with []: {matches('[]')}")
P
seen=$(v/bin/python ask.py)
echo "jsonata-python 0.7.1, matches above 9, 6 and 5: $seen"
[ "$seen" = "None, {'p': 7}, [{'p': 6}, {'p': 7}]; with []: None, [{'p': 7}], [{'p': 6}, {'p': 7}]" ]
