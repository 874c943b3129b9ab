#!/usr/bin/env bash
# Guess: `data` and `customData` of an OCPP message are the vendor's own: the library ocpp hands them on as they came.
# Truth: it turns all keys, however deep, into snake case and back: robotID is robot_id and goes out as robotId, maxV is maxv both ways.
# Why it matters: a charger gets another key than it sent, with no error, and a proxy that passes messages on breaks what it does not
# know; the schema cannot tell, since these parts are free. Carry own data as a JSON text.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ocpp==2.1.0
cat >ask.py <<'P'
import asyncio
import json

from ocpp.routing import on
from ocpp.v201 import ChargePoint, call_result


class Line:
    async def send(self, text):
        print("back", json.dumps(json.loads(text)[2]["data"]))


class Station(ChargePoint):
    @on("DataTransfer")
    def echo(self, data, **_):
        print("seen", json.dumps(data))
        return call_result.DataTransfer(status="Accepted", data=data)


call = [2, "1", "DataTransfer", {"vendorId": "v", "data": {"robotID": 7, "maxV": 5, "kWh": 3}}]
asyncio.run(Station("x", Line()).route_message(json.dumps(call)))
P
seen=$(v/bin/python ask.py)
echo "ocpp 2.1.0, {robotID, maxV, kWh} in a handler that sends it back:"
echo "$seen"
[ "$seen" = 'seen {"robot_id": 7, "maxv": 5, "k_wh": 3}
back {"robotId": 7, "maxv": 5, "kWh": 3}' ]
