#!/usr/bin/env bash
# Guess: a parser named after RFC 5424 hands out what the sender meant: structured data without its escapes (6.3.3), the
# message without its byte order mark (6.4), and refuses a priority above 191 (6.2.1).
# Truth: escapes stay in the values, the mark stays at the head of the message, a repeated parameter keeps only its last value,
# and priority 192 becomes "emerg" of an "unknown" facility.
# Why it matters: matchers on such messages miss: the text begins with an invisible character, a quoted value has backslashes.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q syslog-rfc5424-parser==0.3.2
cat >ask.py <<'P'
from syslog_rfc5424_parser import SyslogMessage

HEAD = "1 2026-11-29T10:00:00Z host app 12 ID1 "
read = SyslogMessage.parse("<34>" + HEAD + '[ip@1 user="a\\"b" tag="x" tag="y"] \ufeffdenied').as_dict()
high = SyslogMessage.parse("<192>" + HEAD + "- denied").as_dict()
print(ascii(read["msg"]), ascii(read["sd"]), high["severity"], high["facility"])
P
seen=$(v/bin/python ask.py)
echo "syslog-rfc5424-parser 0.3.2: $seen"
[ "$seen" = "'\\ufeffdenied' {'ip@1': {'user': 'a\\\\\"b', 'tag': 'y'}} emerg unknown" ]
