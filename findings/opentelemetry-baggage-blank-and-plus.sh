#!/usr/bin/env bash
# Guess: baggage that OpenTelemetry for Python writes is read back unchanged by the one for Node.js, and the other way round.
# Truth: Python writes a blank as + and reads every + as a blank, as in forms; W3C Baggage and Node.js use %20, and a + in the
# header is a plus. "night watch" arrives in Node.js as night+watch, and 12:00+02:00 in a header arrives in Python as 12:00 02:00.
# Why it matters: names of agents, tenants or shifts that travel as baggage differ on the two sides of a hop, so rules and look-ups
# by them miss; times with an offset that a standard sender leaves as they are no longer parse.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-api==1.45.2
npm install --silent --no-audit --no-fund @opentelemetry/api@1.10.0 @opentelemetry/core@3.1.1 >/dev/null
cat >ask.py <<'P'
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator

sent: dict[str, str] = {}
W3CBaggagePropagator().inject(sent, baggage.set_baggage("agent", "night watch"))
print(sent["baggage"], dict(baggage.get_all(W3CBaggagePropagator().extract({"baggage": "at=12:00+02:00"}))))
P
cat >ask.js <<'J'
const { ROOT_CONTEXT, defaultTextMapGetter, propagation } = require("@opentelemetry/api");
const { W3CBaggagePropagator } = require("@opentelemetry/core");
const read = (baggage) =>
  propagation.getBaggage(new W3CBaggagePropagator().extract(ROOT_CONTEXT, { baggage }, defaultTextMapGetter)).getAllEntries();
console.log(...["agent=night+watch", "agent=night%20watch", "at=12:00+02:00"].map((header) => read(header)[0][1].value));
J
python=$(v/bin/python ask.py)
node=$(node ask.js)
echo "opentelemetry-api 1.45.2 (Python) writes and reads: $python"
echo "@opentelemetry/core 3.1.1 (Node.js) reads: $node"
[ "$python" = "agent=night+watch {'at': '12:00 02:00'}" ] && [ "$node" = "night+watch night watch 12:00+02:00" ]
