#!/usr/bin/env bash
# Guess: the package ndjson splits a text at its newlines and reads each line as JSON.
# Truth: it splits where str.splitlines does and joins the parts by commas: a U+2028, U+2029 or U+0085 inside of a string, which
# JSON allows, becomes a comma, with no error. Its own dumps with ensure_ascii=False writes such text.
# Why it matters: log lines and messages of agents (text from a web page has U+2028) change silently on the way through an
# export, and hashes and signatures no longer fit. Read line by line with json.loads.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ndjson==0.3.1
cat >ask.py <<'P'
import ndjson

texts = [f"a{mark}b" for mark in "\u2028\u2029\u0085"]
lines = ndjson.dumps([{"text": text} for text in texts], ensure_ascii=False)
print([item["text"] for item in ndjson.loads(lines)])
P
seen=$(v/bin/python ask.py)
echo "ndjson 0.3.1, round trip of three texts: $seen"
[ "$seen" = "['a,b', 'a,b', 'a,b']" ]
