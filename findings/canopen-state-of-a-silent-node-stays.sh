#!/usr/bin/env bash
# Guess: node.nmt.state of the package canopen is the device's state: it changes when the heartbeat stops.
# Truth: it is the last state that was heard or commanded: a node whose heartbeat stopped stays OPERATIONAL, and send_command(2)
# makes it STOPPED at once, with nobody on the bus.
# Why it matters: a drive that lost power reads as running, and a stop that reached nobody reads as done. Ask wait_for_heartbeat
# with a timeout before believing either.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q canopen==2.4.1 python-can==4.6.1
cat >ask.py <<'P'
import time

import can
import canopen

network = canopen.Network()
network.connect(interface="virtual", channel="line")
node = network.add_node(canopen.RemoteNode(5, canopen.ObjectDictionary()))
with can.Bus("line", interface="virtual") as device:
    device.send(can.Message(arbitration_id=0x705, is_extended_id=False, data=[5]))  # one heartbeat, then none
    node.nmt.wait_for_heartbeat(timeout=30)
time.sleep(1)
silent = node.nmt.state
node.nmt.send_command(2)
stopped = node.nmt.state
try:
    node.nmt.wait_for_heartbeat(timeout=0.2)
    heard = "heard"
except canopen.nmt.NmtError:
    heard = "NmtError"
network.disconnect()
print(f"after a second of silence {silent}, after a stop that nobody heard {stopped}, heartbeat: {heard}")
P
seen=$(v/bin/python ask.py)
echo "canopen 2.4.1: $seen"
[ "$seen" = "after a second of silence OPERATIONAL, after a stop that nobody heard STOPPED, heartbeat: NmtError" ]
