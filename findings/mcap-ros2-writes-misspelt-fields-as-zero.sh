#!/usr/bin/env bash
# Guess: the writer of mcap-ros2-support refuses a message with a field that its definition does not have, or without one.
# Truth: it passes over the unknown one and writes 0 for the missing: {"linaer": {"x": 1.0}} becomes a Twist of zeros. Bounds
# (string<=3) are not held, and 1.7 becomes 1 in a uint8.
# Why it matters: a recording or a bridge that misspells a field says "the robot stands still", which reads like data. Compare
# the keys with the definition first, or use rosbags, whose message classes raise.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q mcap==1.6.0 mcap-ros2-support==0.6.0
cat >ask.py <<'P'
import io

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from mcap_ros2.writer import Writer

rule = "=" * 80
TWIST = f"Vector3 linear\nVector3 angular\n{rule}\nMSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z\n"
TWIST = TWIST.replace("Vector3 linear", "geometry_msgs/Vector3 linear").replace("Vector3 angular", "geometry_msgs/Vector3 angular")
file = io.BytesIO()
writer = Writer(file)
twist = writer.register_msgdef("geometry_msgs/msg/Twist", TWIST)
short = writer.register_msgdef("x/msg/Short", "uint8 n\nstring<=3 t\n")
writer.write_message("/cmd_vel", twist, {"linaer": {"x": 1.0}}, log_time=1, publish_time=1)
writer.write_message("/short", short, {"n": 1.7, "t": "abcdef"}, log_time=2, publish_time=2)
writer.finish()
file.seek(0)
moved, kept = (message for *_, message in make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages())
print(f"linear.x {moved.linear.x}; n {kept.n}, t {kept.t}")
P
seen=$(v/bin/python ask.py)
echo "mcap-ros2-support 0.6.0: $seen"
[ "$seen" = "linear.x 0.0; n 1, t abcdef" ]
