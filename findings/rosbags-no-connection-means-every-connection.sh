#!/usr/bin/env bash
# Guess: messages(connections=[]) of a rosbags reader gives no messages; the mcap package's iter_messages(topics=[]) gives none.
# Truth: rosbags takes an empty list as no filter and gives the whole bag. So the usual line, connections=[c for c in
# reader.connections if c.topic == topic], gives every message of every type where the topic is missing.
# Why it matters: a check of "/emergency_stop" in a recording without it reads odometry and camera frames as stops, or fails far
# away in decoding. Ask whether the list is empty first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q rosbags==0.11.9
cat >ask.py <<'P'
import pathlib
import tempfile

from rosbags.rosbag2 import Reader, Writer
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_HUMBLE)
kind = "std_msgs/msg/String"


def bag(topic):
    path = pathlib.Path(tempfile.mkdtemp(dir=".")) / "bag"
    with Writer(path, version=9) as writer:
        connection = writer.add_connection(topic, kind, typestore=store)
        writer.write(connection, 1, store.serialize_cdr(store.types[kind]("x"), kind))
    return path


def count(path, choose):
    with Reader(path) as reader:
        return sum(1 for _ in reader.messages(connections=choose(reader)))


def stops(reader):
    return [connection for connection in reader.connections if connection.topic == "/stop"]


print(f"with /stop {count(bag('/stop'), stops)}, without it, by topic {count(bag('/odom'), stops)}", end=", ")
print(f"by an empty list {count(bag('/odom'), lambda reader: [])}")
P
seen=$(v/bin/python ask.py)
echo "rosbags 0.11.9, messages read: $seen"
[ "$seen" = "with /stop 1, without it, by topic 1, by an empty list 1" ]
