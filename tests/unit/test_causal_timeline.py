"""A story of one correlation id: every module's events below their causes, with the evidence, and bounded."""

from __future__ import annotations

from brain import Event
from brain.kit.causal_timeline import CausalTimeline, find_causal_timeline, step_row
from brain.stream.backends import Backend, open_backend

STORY = "story-1"


def event(type: str, story: str | None = STORY, cause: Event | None = None) -> Event:
    meta = {"correlation_id": story, "version": "1.0"}
    return Event(
        type=type,
        source=f"{type.partition('.')[0]}_service",
        payload={},
        meta={**meta, "causation_id": cause.id} if cause else meta,
    )


def stored(*events: Event) -> Backend:
    backend = open_backend("memory://")
    backend.append("test", "", "1", [one.encode() for one in events])
    return backend


def shown(story: CausalTimeline) -> list[tuple[str, int]]:
    return [(step.event.type, step.depth) for step in story.steps]


def test_a_story_has_its_causes_and_the_evidence_of_other_stories() -> None:
    denied = [event("policy.action_denied", f"request-{number}") for number in range(3)]
    found = event("threat.detected", cause=denied[1])
    contained = event("policy.rule_created", cause=found)
    noise = event("policy.action_denied", "another")
    backend = stored(*denied, found, noise, event("incident.opened"), contained)
    named = [denied[0].id, denied[1].id, "evt_policy_1_000000000000", "no id"]
    story = find_causal_timeline(backend, STORY, evidence=named)
    assert story.whole
    assert shown(story) == [
        ("policy.action_denied", 0),
        ("policy.action_denied", 0),
        ("threat.detected", 1),
        ("policy.rule_created", 2),
        ("incident.opened", 0),
    ]
    row = step_row(story.steps[2])
    assert (row["type"], row["causation_id"], row["event"]) == ("threat.detected", denied[1].id, found)


def test_of_a_long_story_the_middle_is_left_out() -> None:
    events = [event(f"test.number_{number}") for number in range(10)]
    backend = stored(*events)
    assert [one.event for one in find_causal_timeline(backend, STORY, most=10).steps] == events
    story = find_causal_timeline(backend, STORY, most=4)
    assert not story.whole
    assert [one.event for one in story.steps] == [*events[:2], *events[8:]]
