#!/usr/bin/env bash
# Guess: protobuf's json_format writes and reads OTLP/JSON from the messages of opentelemetry-proto.
# Truth: OTLP/JSON has ids in hexadecimal and enums as numbers; json_format has base64 and names. It reads a hexadecimal id as base64
# without complaint: 16 bytes become 24 others.
# Why it matters: what a tool of one's own writes so is refused, or filed under ids that no other span has; what it reads from an SDK in
# JSON has ids that join with nothing. Turn the ids over by hand.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-proto==1.45.2
cat >ask.py <<'P'
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span

trace = "0af7651916cd43dd8448eb211c80319c"
written = json_format.MessageToDict(Span(trace_id=bytes.fromhex(trace), kind=Span.SPAN_KIND_SERVER))
read = json_format.ParseDict({"traceId": trace, "kind": 2}, Span())
print(written["traceId"], written["kind"], len(read.trace_id), read.trace_id.hex())
P
seen=$(v/bin/python ask.py)
echo "opentelemetry-proto 1.45.2, 0af7651916cd43dd8448eb211c80319c written, its kind, and the bytes read from it: $seen"
[ "$seen" = "CvdlGRbNQ92ESOshHIAxnA== SPAN_KIND_SERVER 24 d1a7fbeb9d7dd7a71de3775df38e3c79bdb5d5cf34df5f5c" ]
