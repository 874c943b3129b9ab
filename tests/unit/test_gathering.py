"""While events come fast they are gathered before they are stored; nobody who awaits one waits for that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brain import Event, EventStream
from brain.stream import shipper

BURST = 3_000


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStream]:
    """A stream that has had a burst, and would now gather for a minute."""
    monkeypatch.setattr(shipper, "GATHER_SECONDS", 60.0)
    with EventStream.open_sync(f"sqlite:///{tmp_path}/b.db") as stream:
        publish(stream, BURST)
        assert stream.flush(30)
        yield stream


def publish(stream: EventStream, count: int) -> None:
    for number in range(count):
        stream.publish(event(number))


def event(number: int) -> Event:
    return Event(type="test.happened", source="test_service", payload={"n": number})


def test_who_awaits_a_receipt_does_not_wait_for_more_events(busy: EventStream) -> None:
    for number in range(3):
        assert busy.publish(event(number)).wait(20)


def test_a_flush_does_not_wait_for_more_events(busy: EventStream) -> None:
    publish(busy, BURST)
    assert busy.flush(20)


def test_a_stream_that_gathers_closes_at_once_with_all_stored(busy: EventStream) -> None:
    publish(busy, BURST)
    began = time.monotonic()
    busy.close_sync(30)
    assert time.monotonic() - began < 20
    with EventStream.open_sync(busy.url) as again:
        assert sum(1 for _ in again.replay_sync("test.happened")) == 2 * BURST


def test_what_comes_one_by_one_is_stored_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "GATHER_SECONDS", 60.0)
    with EventStream.open_sync(f"sqlite:///{tmp_path}/b.db") as stream:
        stored = ""
        for number in range(5):
            stream.publish(event(number))
            deadline = time.monotonic() + 20
            while (found := stream.backend.tail()) == stored:
                assert time.monotonic() < deadline, "the event is held back"
            stored = found
