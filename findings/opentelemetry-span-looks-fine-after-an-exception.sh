#!/usr/bin/env bash
# Guess: a span that is left by an exception has the status ERROR and an exception event.
# Truth: after set_status(OK) the status stays OK; a cancelled task (CancelledError) and SystemExit leave status UNSET and no
# event, since only subclasses of Exception are looked at.
# Why it matters: agent runs that were cancelled or timed out, and runs that failed after a step said OK, count as good ones in
# every error rate that is made from spans.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-sdk==1.45.2
cat >ask.py <<'P'
import asyncio

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

tracer = TracerProvider().get_tracer("t")


def left_by(error, status=None):
    try:
        with tracer.start_as_current_span("s") as span:
            if status:
                span.set_status(Status(status))
            raise error
    except BaseException:
        return span.status.status_code.name, len(span.events)


print(left_by(ValueError()), left_by(ValueError(), StatusCode.OK), left_by(asyncio.CancelledError()))
P
seen=$(v/bin/python ask.py)
echo "opentelemetry-sdk 1.45.2: $seen"
[ "$seen" = "('ERROR', 1) ('OK', 1) ('UNSET', 0)" ]
