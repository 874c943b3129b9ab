#!/usr/bin/env bash
# Guess: to_json of a MAVLink message is JSON, and a status text reads as it was sent (UTF-8, by the message's own definition).
# Truth: NaN, which MAVLink's commands use for "leave as it is", is written as a bare NaN, which strict readers refuse; and the
# text is decoded as ASCII: each byte of a letter beyond it becomes a replacement mark, in the field and in the JSON.
# Why it matters: a bridge from drones to a stream loses just the ordinary commands (a waypoint without a yaw) at the next parser,
# and alerts that quote a status text cannot be matched by what was sent.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pymavlink==2.4.50
cat >ask.py <<'P'
import json

from pymavlink.dialects.v20 import common


def received(message):
    return common.MAVLink(None).parse_buffer(message.pack(common.MAVLink(None)))[0]


def refuse(text):
    raise ValueError(text)


maker = common.MAVLink(None)
takeoff = maker.command_long_encode(1, 1, common.MAV_CMD_NAV_TAKEOFF, 0, 0, 0, 0, float("nan"), 0, 0, 10)
try:
    json.loads(received(takeoff).to_json(), parse_constant=refuse)
    print("JSON")
except ValueError as error:
    print("no JSON:", error)
print(ascii(received(maker.statustext_encode(3, "zu heiß".encode())).text))
P
seen=$(v/bin/python ask.py)
echo "pymavlink 2.4.50:"
echo "$seen"
[ "$seen" = "no JSON: NaN
'zu hei\\ufffd\\ufffd'" ]
