#!/usr/bin/env bash
# Guess: start_as_current_span as a decorator spans the whole of what it decorates, generators included.
# Truth: functions and coroutines run inside the span; of a generator or an asynchronous generator only the making is spanned:
# the span has ended before the first item, and the body runs without it.
# Why it matters: streaming agents and tools are such generators. Their spans last microseconds, and what they call appears as
# unconnected traces. Open the span inside the body.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-sdk==1.45.2
cat >ask.py <<'P'
import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

tracer = TracerProvider().get_tracer("t")


def inside():
    return trace.get_current_span().is_recording()


@tracer.start_as_current_span("plain")
def plain():
    return inside()


@tracer.start_as_current_span("coroutine")
async def coroutine():
    return inside()


@tracer.start_as_current_span("generator")
def generator():
    yield inside()


@tracer.start_as_current_span("stream")
async def stream():
    yield inside()


async def first():
    return await anext(stream())


print(plain(), asyncio.run(coroutine()), next(generator()), asyncio.run(first()))
P
seen=$(v/bin/python ask.py)
echo "opentelemetry-sdk 1.45.2, inside the span: $seen"
[ "$seen" = "True True False False" ]
