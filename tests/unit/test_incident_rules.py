"""The rules of incidents that need no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain import Event
from brain.charter import IncidentState as State
from brain.charter import Severity
from brain.charter import ThreatStatus as Status
from brain.errors import Conflict, InvalidInput
from brain.incidents.models import (
    Incident,
    Recurrence,
    correlation_of,
    incident_id,
    moved,
    next_state_from_ticket,
    parse_state,
    recurrence,
    worst,
)
from brain.lifecycle import INCIDENT_MOVES, OPEN_INCIDENT, THREAT_MOVES
from brain.text import clip_text

STATES = st.sampled_from(State)


def make(state: State = State.NEW, resolved_at: float | None = None) -> Incident:
    return Incident(
        id=incident_id("story", 1),
        number=1,
        correlation_id="story",
        episode=1,
        title="t",
        severity=Severity.LOW,
        state=state,
        opened_at=100.0,
        updated_at=100.0,
        resolved_at=resolved_at,
    )


def make_event(correlation_id: str | None, **meta: str) -> Event:
    return Event(
        type="x.happened",
        source="x_service",
        payload={},
        meta={"correlation_id": correlation_id, "version": "1.0", **meta},
    )


@given(STATES, STATES)
def test_a_move_is_made_or_refused_with_the_allowed_ones(old: State, new: State) -> None:
    if new in INCIDENT_MOVES[old]:
        after = moved(make(old), new, 50.0)  # a clock set back
        assert after.state is new
        assert after.version == 2
        assert (after.resolved_at is not None) == (new is State.RESOLVED)
        assert after.updated_at >= after.opened_at
        return
    with pytest.raises(Conflict) as refused:
        moved(make(old), new, 200.0)
    for allowed in INCIDENT_MOVES[old] or ("none, that is final",):
        assert allowed in str(refused.value)


@given(STATES, STATES)
def test_a_path_is_made_of_allowed_moves(old: State, new: State) -> None:
    steps = INCIDENT_MOVES.shortest_path(old, new)
    for before, after in zip((old, *steps), steps, strict=False):
        assert after in INCIDENT_MOVES[before]
    reachable = old is not new and (new is not State.NEW and old is not State.CLOSED)
    assert bool(steps) == reachable
    assert not steps or steps[-1] is new


def test_the_path_of_a_threat_to_its_end_leads_through_its_mitigation() -> None:
    assert THREAT_MOVES.shortest_path(Status.ESCALATED, Status.RESOLVED) == (
        Status.MITIGATED,
        Status.RESOLVED,
    )
    assert THREAT_MOVES.shortest_path(Status.RESOLVED, Status.OPEN) == ()


def test_another_event_reopens_within_the_window_or_opens_another() -> None:
    for state in OPEN_INCIDENT:
        assert recurrence(make(state), 1e9, 60) is Recurrence.CONTINUES
    resolved = make(State.RESOLVED, resolved_at=1000.0)
    assert recurrence(resolved, 1060.0, 60) is Recurrence.REOPENS
    assert recurrence(resolved, 1060.1, 60) is Recurrence.OPENS_ANOTHER
    assert recurrence(make(State.CLOSED, resolved_at=1000.0), 1001.0, 60) is Recurrence.OPENS_ANOTHER


@given(STATES, STATES, STATES)
def test_an_incident_follows_its_ticket_unless_it_is_further(state: State, shown: State, ticket: State) -> None:
    target = next_state_from_ticket(state, shown, ticket)
    if target is None:
        return
    assert target is not state
    assert target is ticket or (ticket is State.NEW and state is State.RESOLVED and target is State.IN_PROGRESS)
    if state is not shown:  # a change of ours that is not sent yet is never taken back
        assert not (state in (State.RESOLVED, State.CLOSED) and target in OPEN_INCIDENT)
        assert not (shown is State.RESOLVED and state in OPEN_INCIDENT)


@pytest.mark.parametrize(
    ("state", "shown", "ticket", "target"),
    [
        (State.NEW, State.NEW, State.IN_PROGRESS, State.IN_PROGRESS),
        (State.NEW, State.NEW, State.RESOLVED, State.RESOLVED),
        (State.IN_PROGRESS, State.IN_PROGRESS, State.NEW, None),
        (State.RESOLVED, State.RESOLVED, State.NEW, State.IN_PROGRESS),
        (State.RESOLVED, State.RESOLVED, State.CLOSED, State.CLOSED),
        (
            State.RESOLVED,
            State.NEW,
            State.IN_PROGRESS,
            None,
        ),  # resolved here while somebody began there
        (State.IN_PROGRESS, State.NEW, State.RESOLVED, State.RESOLVED),
        (
            State.IN_PROGRESS,
            State.RESOLVED,
            State.CLOSED,
            None,
        ),  # reopened here, put away there
    ],
)
def test_the_next_state_from_a_ticket(state: State, shown: State, ticket: State, target: State | None) -> None:
    assert next_state_from_ticket(state, shown, ticket) is target


def test_the_correlation_of_an_event_is_its_own_its_causes_or_its_id() -> None:
    assert correlation_of(make_event("s"), {}) == "s"
    cause = make_event(None)
    assert correlation_of(cause, {}) == cause.id
    effect = make_event(None, causation_id=cause.id)
    assert correlation_of(effect, {}) == cause.id
    assert correlation_of(effect, {cause.id: "s"}) == "s"


def test_ids_follow_from_correlation_id_and_episode() -> None:
    assert incident_id("a", 1) == incident_id("a", 1)
    assert len({incident_id(story, episode) for story in ("a", "b", "1 a") for episode in (1, 2, 11)}) == 9


@given(st.sampled_from(Severity), st.sampled_from(Severity))
def test_the_worst_of_two_severities(one: Severity, other: Severity) -> None:
    assert worst(one, other) is worst(other, one)
    assert worst(one, other) in (one, other)


def test_states_are_read_in_any_case_and_texts_clipped() -> None:
    assert parse_state("in_progress") is State.IN_PROGRESS
    with pytest.raises(InvalidInput, match="ON_HOLD"):
        parse_state("done")
    assert clip_text("a\0b") == "a\N{REPLACEMENT CHARACTER}b"
    assert clip_text(None) == ""
    assert clip_text(7) == "7"
    assert clip_text("x" * 20, 10) == "x" * 9 + "…"
