#!/usr/bin/env bash
# Guess: aiomqtt, which is built on paho-mqtt, matches topics against filters as paho and the broker do.
# Truth: aiomqtt's Topic.matches takes "#" and "+/..." for topics that begin with $SYS too; MQTT 5 (4.7.2) excludes them, and
# paho's own topic_matches_sub does so.
# Why it matters: a bridge that sorts messages by filter in the client hands broker statistics to the handler of "#" although a
# subscription to "#" would never have brought them, so tests and the broker disagree.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q aiomqtt==2.5.1 paho-mqtt==2.2.0
cat >ask.py <<'P'
import aiomqtt
from paho.mqtt.client import topic_matches_sub

for pattern, topic in (("#", "$SYS/uptime"), ("+/uptime", "$SYS/uptime"), ("robots/#", "robots")):
    print(pattern, aiomqtt.Topic(topic).matches(pattern), topic_matches_sub(pattern, topic), end="; ")
P
seen=$(v/bin/python ask.py)
echo "aiomqtt 2.5.1 beside paho-mqtt 2.2.0: $seen"
[ "$seen" = "# True False; +/uptime True False; robots/# True True; " ]
