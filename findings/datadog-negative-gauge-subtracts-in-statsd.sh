#!/usr/bin/env bash
# Guess: gauge("temperature", -5) of the client `datadog` sets the gauge to -5 at any StatsD server.
# Truth: it sends `-5|g`. DogStatsD sets -5; StatsD's protocol reads a sign as a change: 20, then -5, is 15. The client `statsd` knows
# this and sends 0 first.
# Why it matters: both say that they speak StatsD. A freezer or a motor current that goes below zero reads as a drifting value that
# never comes back, and an alert on it is late or never. Shift such values, or send 0 before each.
set -euo pipefail
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q datadog==0.56.0 statsd==4.0.1
npm i --silent --no-audit --no-fund --ignore-scripts --omit=optional statsd@0.9.0 >/dev/null
cat >ask.py <<'P'
import re
import socket
import time

from datadog.dogstatsd import DogStatsd
from statsd import StatsClient


def gauges():
    with socket.create_connection(("127.0.0.1", 18126), 5) as line:
        line.sendall(b"gauges\n")
        said = b""
        while b"END" not in said:
            said += line.recv(4096)
    return said.decode()


def wait(wanted):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if wanted in gauges():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the server did not say {wanted}: {gauges()}")


wait("END")
StatsClient("127.0.0.1", 18125).gauge("other", 20)
wait("other: 20")
client = DogStatsd(host="127.0.0.1", port=18125, disable_telemetry=True, disable_buffering=True)
client.gauge("temperature", 20)
wait("temperature: 20")
client.gauge("temperature", -5)
StatsClient("127.0.0.1", 18125).gauge("other", -5)
wait("other: -5")
print(*(f"{name} {value}" for name, value in re.findall(r"(other|temperature)'?: (-?\d+)", gauges())))
P
echo "{port: 18125, mgmt_port: 18126, address: '127.0.0.1', mgmt_address: '127.0.0.1', backends: []}" >config.js
node node_modules/statsd/stats.js config.js >log 2>&1 & server=$!
v/bin/python ask.py >seen
echo "datadog 0.56.0 and statsd 4.0.1 (other) at StatsD 0.9.0, each 20 and then -5: $(cat seen)"
[ "$(cat seen)" = "other -5 temperature 15" ]
