#!/usr/bin/env bash
# Guess: whole numbers in the data and metadata of an A2A message come back as whole numbers.
# Truth: a2a-sdk keeps both in protobuf's Struct and Value, which know doubles only: 5 comes back as 5.0, in JSON too, and
# 9007199254740993 as 9007199254740992.0. No error, and the JSON that came in was valid.
# Why it matters: an agent's arguments that pass an A2A hop are other values: a schema that wants an integer may refuse 5.0, hashes
# of the arguments differ, and ids above 2**53 name another thing. Send such numbers as texts.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q a2a-sdk==1.3.0 protobuf==7.36.2
cat >ask.py <<'P'
import json

from a2a.types import Message
from google.protobuf import json_format

numbers = {"n": 5, "id": 9007199254740993}
sent = {"messageId": "1", "role": "ROLE_USER", "parts": [{"data": numbers}], "metadata": numbers}
read = json.loads(json_format.MessageToJson(json_format.ParseDict(sent, Message())))
print(read["parts"][0]["data"], read["metadata"])
P
seen=$(v/bin/python ask.py)
echo "a2a-sdk 1.3.0, protobuf 7.36.2: $seen"
[ "$seen" = "{'n': 5.0, 'id': 9007199254740992.0} {'n': 5.0, 'id': 9007199254740992.0}" ]
