"""brain.testing itself: as strict as the real stream, and nothing overlooked."""

from __future__ import annotations

import pytest

from brain.charter import Event
from brain.errors import EnvelopeError, InvalidInput
from brain.plugins import catalogue
from brain.stream.publisher import emit
from brain.testing import RecordingStream, make_event, one_of_each
from brain.threats.events import DETECTED

pytest_plugins = ["pytester"]


async def test_publish_is_a_plain_call_whose_result_may_be_awaited() -> None:
    stream = RecordingStream()
    event = make_event("threat.detected")
    stream.publish(event)
    assert await stream.publish(event) == "2"
    assert stream.events == (event, event)


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
def test_what_no_real_stream_or_reader_would_take_raises_at_once_and_again(event: Event, fault: str) -> None:
    stream = RecordingStream()
    with pytest.raises(EnvelopeError, match=fault):
        stream.publish(event)
    with pytest.raises(EnvelopeError, match=fault):
        _ = stream.events
    with pytest.raises(EnvelopeError, match=fault):
        stream.get_events_by_type("a.b")
    stream.clear()
    assert stream.events == ()


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


def test_the_plugin_stops_no_project_that_has_a_brain_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.mkpydir("brain")
    pytester.makepyfile("import brain\n\ndef test_own():\n    assert not hasattr(brain, 'EventStream')\n")
    result = pytester.runpython_c(
        "import sys, pytest; sys.path.insert(0, ''); sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    )
    assert (result.ret, result.outlines[-1][:8]) == (0, "1 passed")


def test_the_plugin_gives_the_fixture_and_fails_a_test_whose_events_were_lost(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from brain.stream.publisher import emit
        from brain.threats.events import DETECTED

        def test_good(recording_stream):
            emit(recording_stream, DETECTED, DETECTED.example)
            assert len(recording_stream.events) == 1

        def test_bad(recording_stream):
            emit(recording_stream, DETECTED, {})
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*events that could not be published: {'threat.detected': 1}*"])
