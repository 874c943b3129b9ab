#!/usr/bin/env bash
# Guess: can.Message(arbitration_id=0x123) is a standard frame, and a filter on 0x123 with mask 0x7FF takes standard frames.
# Truth: the frame is extended (29 bits) unless is_extended_id=False is given, and a filter without the key `extended` takes
# both kinds: 0x12345123 passes the filter for 0x123.
# Why it matters: a stop command that is sent so reaches no drive that listens to standard frames, and no error says so; foreign
# extended frames are decoded as the drive's own. Say both each time.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q python-can==4.6.1
cat >ask.py <<'P'
import can

frame = can.Message(arbitration_id=0x123, data=[1])
FILTER = {"can_id": 0x123, "can_mask": 0x7FF}


def received(bus):
    frames = []
    while (got := bus.recv(timeout=0)) is not None:
        frames.append(hex(got.arbitration_id))
    return " ".join(frames) or "none"


with (
    can.Bus("here", interface="virtual") as sender,
    can.Bus("here", interface="virtual", can_filters=[{**FILTER, "extended": False}]) as strict,
    can.Bus("here", interface="virtual", can_filters=[FILTER]) as loose,
):
    sender.send(frame)
    sender.send(can.Message(arbitration_id=0x12345123, data=[1]))
    print(f"extended {frame.is_extended_id}; received by a standard filter: {received(strict)}", end=", ")
    print(f"by one that does not say: {received(loose)}")
P
seen=$(v/bin/python ask.py)
echo "python-can 4.6.1: $seen"
[ "$seen" = "extended True; received by a standard filter: none, by one that does not say: 0x123 0x12345123" ]
