"""Every public method of every service: whatever changes the state publishes an event, and what changes nothing, none.

A method without a line here fails: say what it does.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from brain import HealthEvent, ImmuneService, PolicyEngine, ThreatService
from brain.alerting.service import AlertService
from brain.alerting.tables import ALERTS, SILENCES
from brain.charter import Event, HealthKind, HealthSeverity, IncidentState
from brain.errors import Conflict, InvalidInput
from brain.incidents import tables as incident_tables
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.kit import database_keys, outbox
from brain.policy import Condition, Rule
from brain.policy.approvals import Approvals
from brain.policy.flow.state import breaker_rule, limit_rule
from brain.policy.measures import Measures
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from support.alerting import Alerting
from support.changing_worker import sighting
from support.clock import Clock

Act = Callable[[Any], object]

STATE = ("policy.rules", "policy.measures", "policy.approvals", "threats", "immune")
CONTEXT = {"agent_id": "a1", "action": "pay"}


class Stored:
    """Services on one store in memory, with something in it; what is done to it is recorded."""

    def __init__(self) -> None:
        self.store, self.stream, self.clock = MemoryStore(), RecordingStream(), Clock()
        self.engine = PolicyEngine(self.stream, store=self.store, clock=self.clock, follow_interval=None)
        self.measures = Measures(self.stream, self.store, self.clock)
        self.threats = ThreatService(self.stream, self.store, self.clock)
        self.immune = ImmuneService(self.stream, self.store, self.clock)
        self.engine.add_rule(self.rule("old"))
        self.engine.add_rule(self.rule("off", enabled=False))
        self.engine.contain("a9", ttl=60, reason="leaked")
        self.engine.kill_switch(reason="incident", ttl=60)
        self.asked = self.engine.approvals.request(self.engine.preview(CONTEXT), CONTEXT, timeout=60)
        self.measures.refresh()
        self.threat = asyncio.run(self.threats.create_threat("t", "s"))
        asyncio.run(self.threats.record_sighting(sighting("k", "first", 3)))
        asyncio.run(self.immune.publish_event(self.health()))

    @staticmethod
    def rule(rule_id: str, **more: Any) -> Rule:
        more = {"name": rule_id, **more}
        return Rule(id=rule_id, effect="DENY", conditions=[Condition("action", "==", rule_id)], **more)

    @staticmethod
    def health(severity: HealthSeverity = HealthSeverity.WARNING) -> HealthEvent:
        return HealthEvent(severity, HealthKind.ERROR_SPIKE, "m", "x")

    def state(self) -> object:
        return {name: [(one.key, one.data) for one in self.store.scan(name)] for name in STATE}

    def events(self) -> Sequence[Event]:
        return self.stream.events


class InTables:
    """Alerts and incidents in databases in memory, some of each there."""

    def __init__(self) -> None:
        self.alerting = Alerting()
        self.alerting.see(self.alerting.detected("thr_1"), self.alerting.detected("thr_2"))
        self.alerts = self.alerting.service
        self.alert = min(self.alerting.stored())
        self.silence = self.alerts.add_silence(["kind=threat"], "ann", "known", self.alerting.clock() + 60)
        incident_tables.metadata.create_all(self.alerting.engine)
        database_keys.METADATA.create_all(self.alerting.engine)
        self.incidents = IncidentService(self.alerting.engine, IncidentSettings(), self.alerting.clock)
        self.incident = asyncio.run(self.incidents.open("it is down"))["id"]

    def state(self) -> object:
        kept = (ALERTS, SILENCES, incident_tables.incidents, incident_tables.timeline)
        with self.alerting.engine.begin() as db:
            return {table.name: db.execute(sa.select(table)).all() for table in kept}

    def events(self) -> Sequence[Event]:
        with self.alerting.engine.begin() as db:
            return [Event.decode(data) for data in db.execute(sa.select(outbox.events.c.data)).scalars()]


def refused(act: Act) -> Act:
    """A change that is refused."""

    def attempt(world: Any) -> None:
        with pytest.raises(Conflict):
            finished(act(world))

    return attempt


def finished(done: object) -> None:
    if inspect.iscoroutine(done):
        asyncio.run(done)


def expired(act: Act) -> Act:
    """After the time of all measures and requests."""

    def later(world: Any) -> object:
        world.clock.advance(3600)
        return act(world)

    return later


def moved(status: str) -> Act:
    return lambda world: world.threats.update_threat_status(world.threat.id, status)


def seen(reading: str, denials: int) -> Act:
    return lambda world: world.threats.record_sighting(sighting("k", reading, denials))


NONE: tuple[str, ...] = ()
CREATED, UPDATED, DELETED = (("policy.rule_created",), ("policy.rule_updated",), ("policy.rule_deleted",))
RULES: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "add_rule": [
        (lambda w: w.engine.add_rule(w.rule("new")), CREATED),
        (refused(lambda w: w.engine.add_rule(w.rule("old"))), NONE),
    ],
    "update_rule": [
        (lambda w: w.engine.update_rule("old", priority=7), UPDATED),
        (lambda w: w.engine.update_rule("old", enabled=False), ("policy.rule_updated", "policy.rule_disabled")),
        (lambda w: w.engine.update_rule("old", name="old"), NONE),
    ],
    "enable_rule": [
        (lambda w: w.engine.enable_rule("off"), ("policy.rule_enabled",)),
        (lambda w: w.engine.enable_rule("old"), NONE),
    ],
    "disable_rule": [(lambda w: w.engine.disable_rule("old"), ("policy.rule_disabled",))],
    "delete_rule": [(lambda w: w.engine.delete_rule("old"), DELETED)],
    "import_rules": [
        (
            lambda w: w.engine.import_rules([w.rule("new"), w.rule("old", priority=3)], replace_all=True),
            (*CREATED, *UPDATED, *DELETED),
        ),
        (lambda w: w.engine.import_rules([w.rule("old")]), NONE),
    ],
    "rollback": [(lambda w: w.engine.rollback(1), DELETED)],
    "contain": [
        (lambda w: w.engine.contain("a1", ttl=60, reason="leaked"), CREATED),
        (lambda w: w.engine.contain("a9", ttl=600, reason="leaked"), UPDATED),
    ],
    "lift": [(lambda w: w.engine.lift("a9"), DELETED)],
    "kill_switch": [(lambda w: w.engine.kill_switch(reason="worse", ttl=90), UPDATED)],
    "lift_kill_switch": [(lambda w: w.engine.lift_kill_switch(), DELETED)],
    "expire": [(expired(lambda w: w.engine.expire()), (*DELETED, *DELETED))],
    "tick": [
        (lambda w: w.engine.tick(), NONE),
        (expired(lambda w: w.engine.tick()), (*DELETED, *DELETED, "policy.approval_expired")),
    ],
    "rules": [(lambda w: w.engine.rules(), NONE)],
    "get_rule": [(lambda w: w.engine.get_rule("old"), NONE)],
    "versions": [(lambda w: w.engine.versions(), NONE)],
    "rules_at": [(lambda w: w.engine.rules_at(1), NONE)],
    "containments": [(lambda w: w.engine.containments(), NONE)],
    "kill_switch_in_force": [(lambda w: w.engine.kill_switch_in_force(), NONE)],
    "measures": [(lambda w: w.engine.measures(), NONE)],
    "refresh": [(lambda w: w.engine.refresh(), NONE)],
    "close": [(lambda w: w.engine.close(), NONE)],
    "preview": [(lambda w: w.engine.preview(CONTEXT), NONE)],
    "explain": [(lambda w: w.engine.explain(CONTEXT), NONE)],
    "allowed_actions": [(lambda w: w.engine.allowed_actions("a1", ["pay"]), NONE)],
    "ready": [(lambda w: w.engine.ready(CONTEXT), NONE)],
    "prepare": [(lambda w: w.engine.prepare(CONTEXT), NONE)],
    "known_rule": [(lambda w: w.engine.known_rule("old"), NONE)],
    "swap_rule": [
        (lambda w: w.engine.swap_rule(None, w.rule("new")), CREATED),
        (lambda w: w.engine.swap_rule(w.rule("new"), None), NONE),
        (
            lambda w: w.engine.swap_rule(None, breaker_rule("b", {}, 9e9, "failed")),
            ("policy.breaker_changed", *CREATED),
        ),
        (
            lambda w: w.engine.swap_rule(None, limit_rule("b", 1, "hour", 9e9, "slow", {})),
            ("policy.limit_changed", *CREATED),
        ),
    ],
}
DECISIONS = {"evaluate", "evaluate_many", "refuse"}
"""They publish what was decided, and change nothing."""
MEASURES: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "contain": [(lambda w: w.measures.contain("a1", ttl=60, reason="leaked"), CREATED)],
    "lift": [(lambda w: w.measures.lift("a9"), DELETED)],
    "containments": [(lambda w: w.measures.containments(), NONE)],
    "kill_switch": [(lambda w: w.measures.kill_switch([], ttl=90, reason="worse"), UPDATED)],
    "lift_kill_switch": [(lambda w: w.measures.lift_kill_switch(), DELETED)],
    "kill_switch_in_force": [(lambda w: w.measures.kill_switch_in_force(), NONE)],
    "history": [(lambda w: w.measures.history(), NONE)],
    "expire": [(expired(lambda w: w.measures.expire()), (*DELETED, *DELETED))],
    "refresh": [(lambda w: w.measures.refresh(), NONE)],
    "tick": [(expired(lambda w: w.measures.tick()), (*DELETED, *DELETED))],
}
MOVES_RULES_OF_FORMER_VERSIONS = {"adopt"}
APPROVALS: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "request": [
        (lambda w: w.engine.approvals.request(w.engine.preview(CONTEXT), CONTEXT), ("policy.approval_requested",))
    ],
    "get": [
        (lambda w: w.engine.approvals.get(w.asked.id), NONE),
        (expired(lambda w: w.engine.approvals.get(w.asked.id)), ("policy.approval_expired",)),
    ],
    "list": [
        (lambda w: w.engine.approvals.list(), NONE),
        (expired(lambda w: w.engine.approvals.list()), ("policy.approval_expired",)),
    ],
    "grant": [
        (lambda w: w.engine.approvals.grant(w.asked.id, by="ann"), ("policy.approval_granted",)),
        (
            expired(refused(lambda w: w.engine.approvals.grant(w.asked.id, by="ann"))),
            ("policy.approval_expired",),
        ),
    ],
    "refuse": [(lambda w: w.engine.approvals.refuse(w.asked.id, by="ann"), ("policy.approval_refused",))],
    "use": [
        (lambda w: w.engine.approvals.use(w.asked.id), NONE),
        (
            lambda w: (w.engine.approvals.grant(w.asked.id, by="ann"), w.engine.approvals.use(w.asked.id)),
            ("policy.approval_granted", "policy.approval_used"),
        ),
    ],
    "find": [(lambda w: w.engine.approvals.find(CONTEXT), NONE)],
    "wait": [(expired(lambda w: w.engine.approvals.wait(w.asked.id, 0.001)), ("policy.approval_expired",))],
    "tick": [(expired(lambda w: w.engine.approvals.tick()), ("policy.approval_expired",))],
}
THREATS: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "create_threat": [(lambda w: w.threats.create_threat("t", "s"), ("threat.detected",))],
    "record_sighting": [
        (seen("first", 3), NONE),
        (seen("second", 3), ("threat.updated",)),
        (lambda w: w.threats.record_sighting(sighting("other", "first", 3)), ("threat.detected",)),
    ],
    "update_threat_status": [
        (moved("INVESTIGATING"), ("threat.status_changed",)),
        (moved("ESCALATED"), ("threat.status_changed", "threat.escalated")),
        (moved("MITIGATED"), ("threat.status_changed", "threat.mitigated")),
        (refused(moved("OPEN")), NONE),
    ],
    "assign": [
        (lambda w: w.threats.assign(w.threat.id, "ann"), ("threat.assigned",)),
        (lambda w: w.threats.assign(w.threat.id, " "), NONE),
    ],
    "comment": [(lambda w: w.threats.comment(w.threat.id, "a"), ("threat.commented",))],
    "get_threat": [(lambda w: w.threats.get_threat(w.threat.id), NONE)],
    "list_threats": [(lambda w: w.threats.list_threats(), NONE)],
    "worst_threats": [(lambda w: w.threats.worst_threats(), NONE)],
    "get_stats": [(lambda w: w.threats.get_stats(), NONE)],
    "count_open": [(lambda w: w.threats.count_open(), NONE)],
    "refresh": [(lambda w: w.threats.refresh(), NONE)],
    "use_store": [(lambda w: w.threats.use_store(MemoryStore()), NONE)],
}
HEALTH: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "publish_event": [
        (lambda w: w.immune.publish_event(w.health()), ("immune.event_published",)),
        (
            lambda w: w.immune.publish_event(w.health(HealthSeverity.CRITICAL)),
            ("immune.event_published", "immune.critical_event"),
        ),
    ],
    "get_recent_events": [(lambda w: w.immune.get_recent_events(), NONE)],
    "health_summary": [(lambda w: w.immune.health_summary(), NONE)],
    "health_by_module": [(lambda w: w.immune.health_by_module(), NONE)],
}
ALERTS_AND_SILENCES: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "acknowledge": [
        (lambda w: w.alerts.acknowledge(w.alert, "ann"), ("alert.acknowledged",)),
        (
            lambda w: [w.alerts.acknowledge(w.alert, name) for name in ("ann", "bob")],  # whoever was first stays
            ("alert.acknowledged",),
        ),
    ],
    "close": [(lambda w: w.alerts.close(w.alert, "ann"), ("alert.closed",))],
    "add_silence": [
        (
            lambda w: w.alerts.add_silence(["kind=health"], "ann", "known", w.alerting.clock() + 60),
            ("alert.silence_added",),
        )
    ],
    "remove_silence": [(lambda w: w.alerts.remove_silence(w.silence.id), ("alert.silence_removed",))],
    "alerts": [(lambda w: w.alerts.alerts(), NONE)],
    "alert": [(lambda w: w.alerts.alert(w.alert), NONE)],
    "silences": [(lambda w: w.alerts.silences(), NONE)],
    "notifiers": [(lambda w: w.alerts.notifiers(), NONE)],
}
INCIDENTS: dict[str, list[tuple[Act, tuple[str, ...]]]] = {
    "open": [(lambda w: w.incidents.open("again"), ("incident.opened",))],
    "move": [
        (lambda w: w.incidents.move(w.incident, IncidentState.IN_PROGRESS), ("incident.updated",)),
        (lambda w: w.incidents.move(w.incident, IncidentState.RESOLVED), ("incident.resolved",)),
    ],
    "assign": [
        (lambda w: w.incidents.assign(w.incident, "ann"), ("incident.updated",)),
        (lambda w: w.incidents.assign(w.incident, None), NONE),
    ],
    "note": [(lambda w: w.incidents.note(w.incident, "the tax table is old"), ("incident.updated",))],
    "get": [(lambda w: w.incidents.get(w.incident), NONE)],
    "id_of": [(lambda w: w.incidents.id_of(1), NONE)],
    "list": [(lambda w: w.incidents.list(), NONE)],
}
SERVICES = [
    (PolicyEngine, Stored, RULES, DECISIONS),
    (Measures, Stored, MEASURES, MOVES_RULES_OF_FORMER_VERSIONS),
    (Approvals, Stored, APPROVALS, {"after_fork_in_child"}),
    (ThreatService, Stored, THREATS, set()),
    (ImmuneService, Stored, HEALTH, set()),
    (AlertService, InTables, ALERTS_AND_SILENCES, set()),
    (IncidentService, InTables, INCIDENTS, set()),
]


@pytest.mark.parametrize(("service", "_", "entries", "others"), SERVICES, ids=lambda one: getattr(one, "__name__", ""))
def test_every_public_method_has_an_entry(service: type, _: type, entries: dict[str, Any], others: set[str]) -> None:
    public = {name for name, member in vars(service).items() if not name.startswith("_") and inspect.isfunction(member)}
    assert public == entries.keys() | others


@pytest.mark.parametrize(
    ("made", "act", "types"),
    [
        pytest.param(made, act, types, id=f"{service.__name__}.{name}-{number}")
        for service, made, entries, _ in SERVICES
        for name, cases in entries.items()
        for number, (act, types) in enumerate(cases)
    ],
)
def test_a_change_of_state_publishes_its_events_and_nothing_else_does(
    made: type[Any], act: Act, types: tuple[str, ...]
) -> None:
    world = made()
    state, events = world.state(), len(world.events())
    finished(act(world))
    published = [event.type for event in world.events()[events:]]
    assert sorted(published) == sorted(types)
    assert (world.state() != state) == bool(types)


KeyedAct = Callable[[Any, str, str], Any]
KEYED: list[tuple[type, type, str, KeyedAct]] = [
    (
        PolicyEngine,
        Stored,
        "add_rule",
        lambda w, key, text: w.engine.add_rule(w.rule("new", name=text), key=key),
    ),
    (PolicyEngine, Stored, "contain", lambda w, key, text: w.engine.contain("a9", ttl=600, reason=text, key=key)),
    (Measures, Stored, "contain", lambda w, key, text: w.measures.contain("a1", ttl=60, reason=text, key=key)),
    (
        Approvals,
        Stored,
        "request",
        lambda w, key, text: w.engine.approvals.request(
            w.engine.preview(CONTEXT), {**CONTEXT, "resource": text}, timeout=90, key=key
        ),
    ),
    (ThreatService, Stored, "create_threat", lambda w, key, text: w.threats.create_threat("t", text, key=key)),
    (ThreatService, Stored, "comment", lambda w, key, text: w.threats.comment(w.threat.id, text, key=key)),
    (
        ImmuneService,
        Stored,
        "publish_event",
        lambda w, key, text: w.immune.publish_event(
            HealthEvent(HealthSeverity.WARNING, HealthKind.ERROR_SPIKE, "m", text), key=key
        ),
    ),
    (
        AlertService,
        InTables,
        "add_silence",
        lambda w, key, text: w.alerts.add_silence(["kind=health"], "ann", text, 9e10, key=key),
    ),
    (IncidentService, InTables, "open", lambda w, key, text: w.incidents.open(text, key=key)),
    (IncidentService, InTables, "open", lambda w, key, text: w.incidents.open(text, correlation_id="c", key=key)),
    (IncidentService, InTables, "note", lambda w, key, text: w.incidents.note(w.incident, text, key=key)),
]


def test_every_method_that_takes_a_key_is_tried() -> None:
    taking = {
        (service, name)
        for service, *_ in SERVICES
        for name, member in vars(service).items()
        if inspect.isfunction(member) and not name.startswith("_") and "key" in inspect.signature(member).parameters
    }
    assert taking == {(service, name) for service, _, name, _ in KEYED}


@pytest.mark.parametrize(
    ("made", "act"),
    [pytest.param(made, act, id=f"{service.__name__}.{name}") for service, made, name, act in KEYED],
)
def test_with_a_key_the_same_call_again_finds_what_the_first_one_made(made: type[Any], act: KeyedAct) -> None:
    world = made()
    first = result(act(world, "k", "one"))
    state, events = world.state(), len(world.events())
    clock = world.alerting.clock if made is InTables else world.clock
    clock.advance(30)
    assert result(act(world, "k", "one")) == first
    assert (world.state(), len(world.events())) == (state, events)
    with pytest.raises(Conflict):
        result(act(world, "k", "two"))
    assert (world.state(), len(world.events())) == (state, events)
    with pytest.raises(InvalidInput, match=r"key: .* 1 to 255 characters"):
        result(act(world, "", "three"))


def result(done: Any) -> Any:
    return asyncio.run(done) if inspect.iscoroutine(done) else done
