#!/usr/bin/env bash
# Guess: each log format of python-can gives back the frames that were recorded, or raises for what it cannot keep.
# Truth: csv and sqlite (.db) lose the channel, the direction and the mark of CAN FD; .asc loses the date (times begin at 0) and
# the channel's name; .trc drops CAN FD, remote and error frames with a log line. Only .blf and .log keep kind and time of all.
# Why it matters: a recording for a report or a replay shows a bus that it did not see: sent frames count as received, buses are
# merged, error frames are gone. Take .blf, or try the format with one frame of each kind.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q python-can==4.6.1
cat >ask.py <<'P'
import logging

import can

logging.disable(logging.CRITICAL)
START = 1_700_000_000.5
frames = [
    can.Message(timestamp=START, arbitration_id=0x123, is_extended_id=False, data=[1], channel=0, is_rx=False),
    can.Message(timestamp=START + 1, arbitration_id=0x124, is_remote_frame=True, dlc=4, channel=0),
    can.Message(timestamp=START + 2, arbitration_id=0x125, is_fd=True, data=bytes(12), channel=0),
    can.Message(timestamp=START + 3, arbitration_id=0, is_error_frame=True, channel=0),
]


def kinds(seen):
    return [(frame.is_rx, frame.is_fd, frame.is_remote_frame, frame.is_error_frame) for frame in seen]


parts = []
for ending in ("asc", "blf", "csv", "db", "log", "trc"):
    with can.Logger(f"x.{ending}") as log:
        for frame in frames:
            log(frame)
    with can.LogReader(f"x.{ending}") as read:
        back = list(read)
    times = [round(frame.timestamp, 3) for frame in back] == [frame.timestamp for frame in frames]
    parts.append(f"{ending} {len(back)} {kinds(back) == kinds(frames)} {times}")
print(", ".join(parts))
P
seen=$(v/bin/python -W ignore ask.py)
echo "python-can 4.6.1, frames of 4, kinds and times kept: $seen"
[ "$seen" = "asc 4 True False, blf 4 True True, csv 4 False True, db 4 False True, log 4 True True, trc 1 False False" ]
