#!/usr/bin/env bash
# Guess: in a Zenoh key expression robot/** stands for what is below robot, ** for every key, and **/* may be written.
# Truth: robot/** includes robot itself; ** leaves out every key with a part that begins with @; **/* is refused as not
# canonical and must be written */**, or go through autocanonize.
# Why it matters: patterns of our stream and of ROS topics do not carry over one to one: a recorder on ** sees no @-keys
# (liveliness and administration), and a pattern that a user types may be refused for its order alone.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q eclipse-zenoh==1.10.2
cat >ask.py <<'P'
from zenoh import KeyExpr

try:
    KeyExpr("robot/**/*")
    written = "accepted"
except Exception:
    written = "refused"
print(
    KeyExpr("robot/**").includes(KeyExpr("robot")),
    KeyExpr("**").intersects(KeyExpr("robot/@ros2/pose")),
    written,
    KeyExpr.autocanonize("robot/**/*"),
)
P
seen=$(v/bin/python ask.py)
echo "eclipse-zenoh 1.10.2: $seen"
[ "$seen" = "True False refused robot/*/**" ]
