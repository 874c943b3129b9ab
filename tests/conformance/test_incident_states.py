"""Incidents as a state machine: whatever threats, health, people and tickets do, the rules hold."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import hypothesis.strategies as st
import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from brain import Event, HealthEvent, ImmuneService, ThreatService, correlation
from brain.charter import IncidentState as State
from brain.charter import ThreatStatus as Status
from brain.errors import Conflict
from brain.incidents import tables
from brain.incidents.models import SEVERITIES
from brain.incidents.projector import IncidentProjector
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.incidents.threat_moves import move_threat
from brain.kit import outbox
from brain.kit.database import create_tables, open_database
from brain.kit.projection import Item
from brain.lifecycle import INCIDENT_MOVES as MOVES
from brain.lifecycle import OPEN_INCIDENT as OPEN
from brain.lifecycle import THREAT_MOVES as THREAT_MOVES
from brain.testing import RecordingStream
from brain.threats.moves import ServiceMoves
from support.clock import Clock

T = TypeVar("T")
STORIES = ("first", "second")
WINDOW = 100.0
SETTLED = (Status.MITIGATED, Status.RESOLVED, Status.IGNORED)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class Incidents(RuleBasedStateMachine):
    """Real services publish to a stream; what they publish is applied after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.stream = RecordingStream()
        self.threats = ThreatService(self.stream, clock=self.clock)
        self.immune = ImmuneService(self.stream, clock=self.clock)
        self.database = open_database("memory://")
        create_tables(self.database, tables.metadata)
        create_tables(self.database, outbox.metadata)
        values = IncidentSettings(reopen_window=WINDOW)
        self.service = IncidentService(self.database, values, self.clock)
        self.projector = IncidentProjector(values, self.clock, dict[str, bytes]().get)
        self.taken = 0
        self.stories: dict[str, str] = {}  # of each threat
        self.worst: dict[str, str] = {}
        self.expected = dict.fromkeys(STORIES, 0)  # how many incidents each story has had

    def teardown(self) -> None:
        self.database.dispose()

    def take(self) -> None:
        """Apply what was published; count the incidents that are due by the rule of the window."""
        fresh = self.stream.events[self.taken :]
        self.taken += len(fresh)
        for event in fresh:
            assert event.correlation_id is not None
            last = self.last(event.correlation_id)
            ended = last is not None and last["state"] not in OPEN
            over = (
                last is not None
                and ended
                and (last["state"] == "CLOSED" or self.clock() - last["resolved_at"] > WINDOW)
            )
            opens = event.type in ("threat.escalated", "immune.critical_event")
            returns = event.type == "threat.status_changed" and (
                event.payload["old_status"] in SETTLED and event.payload["new_status"] in ("OPEN", "INVESTIGATING")
            )
            self.expected[event.correlation_id] += (opens and last is None) or ((opens or returns) and over)
            seen = msgspec.structs.replace(event, timestamp=self.clock())
            with self.database.begin() as db:
                self.projector.apply(db, [Item("", b"", seen)])

    def last(self, story: str) -> dict[str, Any] | None:
        found = run(self.service.list(correlation_id=story))
        return max(found, key=lambda incident: incident["number"], default=None)

    @initialize()
    def start(self) -> None:
        self.detect("first", "HIGH")

    @rule(story=st.sampled_from(STORIES), severity=st.sampled_from(SEVERITIES))
    def detect(self, story: str, severity: str) -> None:
        with correlation(story):
            threat = run(self.threats.create_threat("scan", "203.0.113.7", severity))
        self.stories[threat.id] = story
        self.take()

    @rule(data=st.data())
    def move_threat(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(range(len(self.stories))).map(list(self.stories).__getitem__))
        moves = THREAT_MOVES[run(self.threats.get_threat(id)).status]
        if moves:
            run(self.threats.update_threat_status(id, data.draw(st.sampled_from(moves)), "why not"))
            self.take()

    @rule(story=st.sampled_from(STORIES), critical=st.booleans())
    def health(self, story: str, critical: bool) -> None:
        severity = "CRITICAL" if critical else "WARNING"
        run(self.immune.publish_event(HealthEvent(severity, "AGENT_FAILURE", "billing", "gone", correlation_id=story)))
        self.take()

    @rule(story=st.sampled_from(STORIES), outcome=st.sampled_from(["healed", "failed"]))
    def heal(self, story: str, outcome: str) -> None:
        details = {"outcome": outcome}
        event = HealthEvent("INFO", "SELF_HEALING_ACTION", "billing", "restarted", details, correlation_id=story)
        run(self.immune.publish_event(event))
        self.take()

    @rule(story=st.sampled_from(STORIES), state=st.sampled_from(State))
    def move_by_hand(self, story: str, state: State) -> None:
        incident = self.last(story)
        if incident is None:
            return
        if state in MOVES[State(incident["state"])]:
            after = run(self.service.move(incident["id"], state, "by hand", "ann"))
            assert after["state"] == state
        else:
            with pytest.raises(Conflict) as refused:
                run(self.service.move(incident["id"], state, "by hand", "ann"))
            assert all(allowed in str(refused.value) for allowed in incident["allowed_states"])

    @rule()
    def move_threats_as_asked(self) -> None:
        """Deliver the rows of the outbox for threats."""
        table = outbox.outbox
        mine = (table.c.channel == "threats") & (table.c.state == "waiting")
        with self.database.begin() as db:
            rows = db.execute(sa.select(table).where(mine).order_by(table.c.id)).all()
            db.execute(sa.update(table).where(mine).values(state="sent"))
        for row in rows:
            run(move_threat(ServiceMoves(self.threats), row))
        self.take()

    @rule(seconds=st.sampled_from([1.0, WINDOW / 2, WINDOW + 1]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.taken)
    @invariant()
    def the_rules_hold(self) -> None:
        for story in STORIES:
            found = sorted(run(self.service.list(correlation_id=story)), key=lambda incident: incident["number"])
            assert len(found) == self.expected[story]
            assert [incident["previous"] for incident in found] == [None, *(one["id"] for one in found)][: len(found)]
            assert all(State(incident["state"]) not in OPEN for incident in found[:-1])
            for summary in found:
                self.check(run(self.service.get(summary["id"])))
            if found and found[-1]["state"] in OPEN:
                self.check_open(story)
        numbers = [incident["number"] for incident in run(self.service.list())]
        assert numbers == list(range(len(numbers), 0, -1))

    def check(self, incident: dict[str, Any]) -> None:
        state = State.NEW
        for entry in reversed(incident["timeline"]):
            if entry["kind"] == "state":
                old, _, new = entry["text"].partition(":")[0].partition(" -> ")
                assert old == state
                assert State(new) in MOVES[state]
                state = State(new)
        assert incident["state"] == state
        assert (incident["resolved_at"] is not None) == (state not in OPEN)
        before = self.worst.get(incident["id"], incident["severity"])
        assert SEVERITIES.index(incident["severity"]) >= SEVERITIES.index(before)
        self.worst[incident["id"]] = incident["severity"]
        self.check_announced(incident)

    def check_announced(self, incident: dict[str, Any]) -> None:
        with self.database.begin() as db:
            rows = db.execute(sa.select(outbox.events.c.data).order_by(outbox.events.c.id)).scalars().all()
        events = [event for event in map(Event.decode, rows) if event.target == incident["id"]]
        assert [event.type for event in events].count("incident.opened") == 1
        assert events[0].type == "incident.opened"
        assert events[-1].payload["state"] == incident["state"]
        assert len({event.id for event in events}) == len(events)

    def check_open(self, story: str) -> None:
        """An open incident has something left to be done, or it was opened or reopened by a person."""
        statuses = [run(self.threats.get_threat(id)).status for id, of in self.stories.items() if of == story]
        with self.database.begin() as db:
            health = (
                db.execute(sa.select(tables.health.c.state).where(tables.health.c.correlation_id == story))
                .scalars()
                .all()
            )
        left = any(status not in SETTLED for status in statuses) or any(state in ("open", "failed") for state in health)
        timeline = run(self.service.get((self.last(story) or {})["id"]))["timeline"]
        by_hand = next((entry for entry in timeline if entry["kind"] == "state"), {}).get("by") == "ann"
        assert left or by_hand or any(entry["by"] == "ann" for entry in timeline)


TestIncidents = Incidents.TestCase
TestIncidents.settings = settings(
    max_examples=max(8, settings().max_examples // 25), stateful_step_count=20, deadline=None
)
