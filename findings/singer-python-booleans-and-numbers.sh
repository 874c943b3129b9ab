#!/usr/bin/env bash
# Guess: singer-python turns the text "no" of a boolean column into an error or false, gives 0.1 as a float, and complains about
# a message type that it does not know.
# Truth: Transformer makes true of "no"; parse_message gives numbers with a point as Decimal, whole ones as int; a message of an
# unknown type, or of a known one in lower case, comes back as None.
# Why it matters: a pipe from a tap into events flips flags, mixes number types in one column, and passes over messages unseen.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q singer-python==6.8.0
cat >ask.py <<'P'
import singer

flag = singer.Transformer().transform({"active": "no"}, {"type": "object", "properties": {"active": {"type": "boolean"}}})
record = singer.parse_message('{"type": "RECORD", "stream": "s", "record": {"a": 1.0, "b": 1}}').record
unknown = [singer.parse_message('{"type": "%s", "stream": "s", "record": {}}' % name) for name in ("BATCH", "record")]
print(flag, {name: type(value).__name__ for name, value in record.items()}, unknown)
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "singer-python 6.8.0: $seen"
[ "$seen" = "{'active': True} {'a': 'Decimal', 'b': 'int'} [None, None]" ]
