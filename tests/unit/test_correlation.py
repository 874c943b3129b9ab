"""The context that new events take their correlation, cause and trace from."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from brain import Event, correlation
from brain.charter import current_meta, in_the_wake_of
from brain.stream.tracing import traceparent_in

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def make(**meta: object) -> Event:
    return Event(type="test.happened", source="test_service", payload={}, meta=meta)


def test_events_in_the_wake_of_an_event_carry_its_story_cause_and_trace() -> None:
    cause = make(
        correlation_id="story", traceparent=PARENT, tracestate="vendor=1", causation_id="evt_test_1_0123456789ab"
    )
    with in_the_wake_of(cause):
        effect = make()
    assert effect.meta == {
        "correlation_id": "story",
        "version": "1.0",
        "causation_id": cause.id,
        "traceparent": PARENT,
        "tracestate": "vendor=1",
    }
    assert current_meta() == {"correlation_id": None, "version": "1.0"}


def test_an_event_without_a_story_begins_one() -> None:
    cause = make()
    with in_the_wake_of(cause):
        assert make().meta == {"correlation_id": cause.id, "version": "1.0", "causation_id": cause.id}


def test_contexts_nest_and_are_left_on_errors() -> None:
    outer, inner = make(), make(correlation_id="inner")
    with correlation("request", traceparent=PARENT):
        with in_the_wake_of(outer):
            with suppress(ZeroDivisionError), in_the_wake_of(inner):
                assert make().correlation_id == "inner"
                raise ZeroDivisionError
            assert make().correlation_id == outer.id
        assert current_meta() == {"correlation_id": "request", "version": "1.0", "traceparent": PARENT}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PARENT, PARENT),
        (f" {PARENT}\t", PARENT),
        (PARENT.replace("-01", "-00"), PARENT.replace("-01", "-00")),
        (f"cc{PARENT[2:]}", PARENT),  # a later version, read as far as this one goes
        (f"cc{PARENT[2:]}-what-the-future-brings", PARENT),
        (f"{PARENT}-more", None),  # version 00 has four fields
        (f"ff{PARENT[2:]}", None),
        (PARENT.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[1:]}-00f067aa0ba902b7-01", None),
        ("", None),
        ("garbage", None),
    ],
)
def test_traceparents_are_read_as_w3c_says(text: str, expected: str | None) -> None:
    assert traceparent_in(text) == expected


def test_a_program_that_does_not_trace_loads_nothing_of_opentelemetry(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from brain import Event, EventStream

async def main():
    async with EventStream.open("sqlite:///b.db") as stream:
        handled = asyncio.Event()

        async def handle(event):
            handled.set()

        stream.consumer("g", "*", handle)
        stream.publish(Event(type="a.b", source="c_service", payload={}))
        task = asyncio.create_task(stream.run_consumers())
        await handled.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (stored,) = await stream.read()
        print(sorted(stored.event.meta), [name for name in sys.modules if name.startswith("opentelemetry")])

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['correlation_id', 'version'] []"
