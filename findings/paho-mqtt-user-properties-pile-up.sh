#!/usr/bin/env bash
# Guess: setting UserProperty on paho-mqtt's Properties a second time replaces the first value, as it does for ContentType.
# Truth: properties that MQTT 5 lets occur more than once are added to: after two assignments both pairs are sent, and assigning a
# list adds the list. Only del empties it.
# Why it matters: a publisher that keeps one Properties object and sets the trace or tenant for each message sends those of all
# earlier messages too; a reader that looks for the first finds the oldest, and the packets grow with each message.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q paho-mqtt==2.2.0
cat >ask.py <<'P'
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

kept = Properties(PacketTypes.PUBLISH)
for number in ("1", "2"):
    kept.ContentType = number
    kept.UserProperty = ("trace", number)
sent = Properties(PacketTypes.PUBLISH)
sent.unpack(kept.pack())
kept.UserProperty = [("trace", "3")]
both = len(kept.UserProperty)
del kept.UserProperty
kept.UserProperty = ("trace", "4")
print(sent.ContentType, sent.UserProperty, both, len(kept.UserProperty))
P
seen=$(v/bin/python ask.py)
echo "paho-mqtt 2.2.0: $seen"
[ "$seen" = "2 [('trace', '1'), ('trace', '2')] 3 1" ]
