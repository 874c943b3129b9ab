#!/usr/bin/env bash
# Guess: one CloudEvent means the same in binary and in structured mode of the Python SDK, and a boolean attribute is written as
# the specification's canonical text true or false.
# Truth: binary mode writes ce-flag: True; a JSON text as data is a bare word in binary mode (no valid JSON under a JSON content
# type) and a quoted text in structured mode; an event made without a time gets the present one.
# Why it matters: a receiver in another language reads neither the flag nor the body, and a replayed event has a new time.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q cloudevents==2.2.0
cat >ask.py <<'P'
import json
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

given = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "application/json", "flag": True}
event = CloudEvent(attributes=given, data="hello")
binary, structured = to_binary_event(event), json.loads(to_structured_event(event).body)
print(binary.headers["ce-flag"], binary.body, repr(structured["data"]), structured["flag"], "ce-time" in binary.headers)
P
seen=$(v/bin/python ask.py)
echo "cloudevents 2.2.0: $seen"
[ "$seen" = "True b'hello' 'hello' True True" ]
