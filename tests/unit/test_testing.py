"""brain.testing itself: as strict as the real stream, and nothing overlooked."""

from __future__ import annotations

import pytest

from brain import EventStream, PolicyEngine
from brain.charter import Event
from brain.errors import EnvelopeError, InvalidInput
from brain.plugins import catalogue
from brain.stream.publisher import emit
from brain.stream.receipt import Receipt
from brain.testing import RecordingStream, make_event, one_of_each
from brain.threats.events import DETECTED


async def test_publish_is_a_plain_call_whose_result_may_be_awaited() -> None:
    """`tests/conformance/test_stream.py` has what it shares with every stream."""
    stream = RecordingStream()
    event = make_event("threat.detected")
    stream.publish(event)
    assert await stream.publish(event) == "2"
    assert stream.events == (event, event)


async def test_it_is_typed_and_used_as_the_stream_and_shows_what_came_also_after_its_end() -> None:
    async with RecordingStream() as stream:
        assert isinstance(stream, EventStream)
        await stream.publish(make_event("threat.detected"))
        assert stream.get_events_by_type("threat.detected") == [stored.event for stored in await stream.read()]
    assert len(stream.events) == stream.stats()["stored"] == 1


def test_events_are_found_by_type_and_cleared() -> None:
    stream = RecordingStream()
    detected, moved = make_event("threat.detected"), make_event("threat.status_changed")
    stream.publish(detected)
    stream.publish(moved)
    assert stream.get_events_by_type("threat.status_changed") == [moved]
    assert stream.get_events_by_type("threat.escalated") == []
    stream.clear()
    assert stream.events == ()


def test_events_are_as_a_subscriber_would_get_them() -> None:
    stream = RecordingStream()
    stream.publish(Event(type="third.party", source="third_service", payload={"pair": (1, 2)}))
    assert stream.events[0].payload == {"pair": [1, 2]}


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (Event(type="a.b", source="c_service", payload={"x": object()}), "payload or meta"),
        (Event(type="threat.detected", source="threats_service", payload={}), "missing required field"),
        (
            Event(type="threat.detected", source="other_service", payload=make_event("threat.detected").payload),
            "'other_service' is not 'threats_service'",
        ),
        (
            Event(
                type="threat.detected",
                source="threats_service",
                payload={**make_event("threat.detected").payload, "more": 1},
            ),
            "undeclared keys more",
        ),
    ],
)
def test_what_no_stream_or_reader_would_take_is_raised_when_the_test_looks(event: Event, fault: str) -> None:
    stream = RecordingStream()
    stream.publish(event)
    with pytest.raises(EnvelopeError, match=fault) as caught:
        _ = stream.events
    with pytest.raises(EnvelopeError, match=fault):
        stream.get_events_by_type("a.b")
    assert "test_testing.py" in caught.value.__notes__[0].splitlines()[-2], "the last frame is the one that published"
    stream.clear()
    assert stream.events == ()


def test_a_test_may_want_a_refusal() -> None:
    stream = RecordingStream()
    receipt = stream.publish(Event(type="a.b", source="c_service", payload={"x": "y" * (2 << 20)}))
    assert stream.faults == [receipt.refused]
    stream.faults.clear()
    stream.publish(make_event("threat.detected"))
    assert len(stream.events) == 1
    assert stream.stats()["refused"] == 1


def test_decisions_are_published_as_on_every_stream() -> None:
    """The engine hands over bytes to a stream of ours, and events to a class that does more in `publish`."""

    class More(RecordingStream):
        def publish(self, event: Event) -> Receipt:
            seen.append(event.type)
            return super().publish(event)

    seen: list[str] = []
    for stream in (RecordingStream(), More()):
        context = {"agent_id": "a", "agent_role": "guest", "action": "read", "resource": "db"}
        assert not PolicyEngine(stream).evaluate({**context, "environment": {}, "params": {}}).allowed
        assert [event.type for event in stream.events] == ["policy.rule_evaluated", "policy.action_denied"]
    assert seen == ["policy.rule_evaluated", "policy.action_denied"]


def test_a_refusal_that_a_module_swallows_still_fails_the_test() -> None:
    stream = RecordingStream()
    emit(stream, DETECTED, {**DETECTED.example, "more": 1})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(EnvelopeError, match="undeclared keys more"):
        _ = stream.events


@pytest.mark.parametrize("event_type", sorted(catalogue()))
def test_there_is_an_event_of_every_declared_type(event_type: str) -> None:
    event = make_event(event_type, correlation_id="story")
    assert (event.type, event.correlation_id) == (event_type, "story")
    RecordingStream().publish(event)


def test_one_of_each_has_every_type_once() -> None:
    assert [event.type for event in one_of_each()] == list(catalogue())


def test_overrides_are_laid_over_the_example_and_checked() -> None:
    event = make_event("threat.detected", severity="LOW", target="agent-1", meta={"causation_id": "x"})
    assert event.payload == {**DETECTED.example, "severity": "LOW"}
    assert event.target == "agent-1"
    assert event.meta["causation_id"] == "x"
    with pytest.raises(InvalidInput, match=r"has no key severty; there are: .*severity"):
        make_event("threat.detected", severty="LOW")
    with pytest.raises(InvalidInput, match=r"'threat\.gone' is not declared; there are: .*threat\.detected"):
        make_event("threat.gone")
    with pytest.raises(EnvelopeError, match="severity"):
        make_event("threat.detected", severity=3)
