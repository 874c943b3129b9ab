"""A process that changes rules, measures, approvals, threats and health until it is killed; what must then be so."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from brain import Event, EventStream, HealthEvent, ImmuneService, PolicyEngine, ThreatService
from brain.charter import HealthKind, HealthSeverity, Severity, ThreatStatus
from brain.errors import Conflict
from brain.immune.repository import HealthRepository
from brain.policy import Condition, Rule
from brain.policy.approvals import COLLECTION as APPROVALS
from brain.policy.approvals import Approval
from brain.policy.stored_rules import read_rules
from brain.store import Store, open_store
from brain.threats.models import Threat
from brain.threats.sightings import Sighting

MOVES = ("INVESTIGATING", "ESCALATED", "MITIGATED", "RESOLVED")


def change(url: str, journal: str, name: str, going: Connection) -> None:
    """Make one change after the other."""
    asyncio.run(_change(url, journal, name, going))


async def _change(url: str, journal: str, name: str, going: Connection) -> None:
    stream = await EventStream.open(url, journal=journal)
    store = open_store(url)
    engine = PolicyEngine(stream, store=store, follow_interval=None)
    threats, immune = ThreatService(stream, store), ImmuneService(stream, store)
    chance = random.Random(name)
    number = 0
    while True:
        key = f"{name}-{number}"
        await asyncio.to_thread(_change_rules, engine, key, chance)
        await asyncio.to_thread(_change_approvals, engine, key)
        await _change_threats(threats, key, chance)
        severity = chance.choice([HealthSeverity.CRITICAL, HealthSeverity.WARNING])
        await immune.publish_event(HealthEvent(severity, HealthKind.ERROR_SPIKE, key, "many errors"))
        number += 1
        if number == 1:
            going.send("going")


def _change_rules(engine: PolicyEngine, key: str, chance: random.Random) -> None:
    engine.add_rule(Rule(id=key, name=key, effect="AUDIT", conditions=[Condition("action", "==", key)]))
    engine.update_rule(key, priority=chance.randint(1, 9))
    engine.disable_rule(key)
    engine.contain(key, ttl=3600, reason="leaked")
    if chance.random() < 0.9:
        engine.lift(key)
        engine.delete_rule(key)


def _change_approvals(engine: PolicyEngine, key: str) -> None:
    context = {"agent_id": key, "action": "pay"}
    approval = engine.approvals.request(engine.preview(context), context, timeout=86_400)
    engine.approvals.grant(approval.id, by="ann")
    engine.approvals.use(approval.id)


async def _change_threats(threats: ThreatService, key: str, chance: random.Random) -> None:
    threat = await threats.create_threat("t", key)
    for status in MOVES[: chance.randint(0, len(MOVES))]:
        await threats.update_threat_status(threat.id, status, "because")
    for reading in range(2):
        await threats.record_sighting(sighting(key, str(reading), 3))


def sighting(key: str, reading: str, denials: int) -> Sighting:
    return Sighting(
        key=key,
        type="seen",
        source=key,
        reading=reading,
        counts={"denials": denials},
        last_seen=1.0,
        grade=lambda _: Severity.MEDIUM,
        describe=lambda counts: f"{counts['denials']} denials",
    )


class Told:
    """What the events of a stream tell, compared with the state of a store; `faults` counts what does not fit."""

    def __init__(self, events: Sequence[Event], store: Store) -> None:
        self.faults: Counter[str] = Counter()
        self.changes = len(events)
        ids = Counter(event.id for event in events)
        self._count("doubled", sum(times - 1 for times in ids.values()))
        self._rules(events, store)
        self._approvals(events, store)
        self._threats(events, store)
        self._health(events, store)

    def _count(self, fault: str, times: int) -> None:
        if times:
            self.faults[fault] += times

    def _rules(self, events: Sequence[Event], store: Store) -> None:
        """Each event must build on the one before, and the last one say what is stored."""
        said: dict[str, Mapping[str, Any]] = {}
        for event in events:
            if not event.type.startswith("policy.rule_"):
                continue
            rule_id, rule, before = event.payload["rule_id"], event.payload["rule"], said.get(event.payload["rule_id"])
            if event.type == "policy.rule_created":
                self._count("rule made twice", before is not None)
            elif before is None:
                self._count("rule changed before it was made", 1)
            else:
                old = {name: one["old"] for name, one in event.payload.get("changes", {}).items()}
                self._count("change of a rule without event", any(before.get(name) != old[name] for name in old))
            if event.type == "policy.rule_deleted":
                said.pop(rule_id, None)
            else:
                said[rule_id] = rule
        stored = {rule.id: rule.to_dict() for rule in read_rules(store).rules}
        self._count("rule without event", len(stored.keys() - said.keys()))
        self._count("event without rule", len(said.keys() - stored.keys()))
        self._count("rule not as said", sum(stored[one] != said[one] for one in stored.keys() & said.keys()))

    def _approvals(self, events: Sequence[Event], store: Store) -> None:
        said: dict[str, list[str]] = {}
        for event in events:
            if event.type.startswith("policy.approval_"):
                said.setdefault(event.payload["approval_id"], []).append(event.type.removeprefix("policy.approval_"))
        steps = ["requested", "granted", "used"]
        # As stored: an Approvals would mark those past their time as expired.
        read = [msgspec.json.decode(document.data, type=Approval) for document in store.scan(APPROVALS)]
        stored = {approval.id: approval.status for approval in read}
        self._count("approval without event", len(stored.keys() - said.keys()))
        self._count("event without approval", len(said.keys() - stored.keys()))
        for approval_id, status in stored.items():
            wanted = steps[: {"PENDING": 1, "GRANTED": 2, "USED": 3}[status]]
            self._count("approval not as said", said.get(approval_id, wanted) != wanted)

    def _threats(self, events: Sequence[Event], store: Store) -> None:
        detected: Counter[str] = Counter()
        moves: dict[str, list[tuple[str, str]]] = {}
        besides: Counter[tuple[str, str]] = Counter()
        versions: dict[str, set[int]] = {}
        for event in events:
            if event.type.startswith("threat."):
                versions.setdefault(event.payload["threat_id"], set()).add(event.payload["version"])
            if event.type == "threat.detected":
                detected[event.payload["threat_id"]] += 1
            elif event.type == "threat.status_changed":
                move = (event.payload["old_status"], event.payload["new_status"])
                moves.setdefault(event.payload["threat_id"], []).append(move)
            elif event.type in ("threat.escalated", "threat.mitigated"):
                besides[event.payload["threat_id"], event.type] += 1
        stored = {threat.id: threat for threat in asyncio.run(_all_threats(store))}
        self._count("threat without event", len(stored.keys() - detected.keys()))
        self._count("event without threat", len(detected.keys() - stored.keys()))
        self._count("threat detected twice", sum(times - 1 for times in detected.values()))
        for threat_id, threat in stored.items():
            made = [(str(move.old), str(move.new)) for move in threat.history]
            self._count("threat not as said", moves.get(threat_id, []) != made)
            told = versions.get(threat_id, set())
            self._count("change of a threat without event", len(set(range(1, threat.version + 1)) - told))
            self._count("event without change of a threat", len(told - set(range(1, threat.version + 1))))
            for status, name in (
                (ThreatStatus.ESCALATED, "threat.escalated"),
                (ThreatStatus.MITIGATED, "threat.mitigated"),
            ):
                times = sum(move.new is status for move in threat.history)
                self._count(f"{name} not as said", besides[threat_id, name] != times)

    def _health(self, events: Sequence[Event], store: Store) -> None:
        said = Counter(one.payload["event_id"] for one in events if one.type == "immune.event_published")
        critical = Counter(one.payload["event_id"] for one in events if one.type == "immune.critical_event")
        stored = {event.id: event for event in HealthRepository(store).newest(1 << 30)}
        self._count("health event without event", len(stored.keys() - said.keys()))
        self._count("event without health event", sum(one not in stored for one in said if one >= min(stored)))
        self._count("health event twice", sum(times - 1 for times in (said + critical).values()) - len(critical))
        for number, event in stored.items():
            self._count("critical not as said", critical[number] != (event.severity is HealthSeverity.CRITICAL))


async def _all_threats(store: Store) -> Sequence[Threat]:
    try:
        return await ThreatService(store=store).list_threats(limit=1 << 30)
    except Conflict as error:  # of a restoration, which a store without losses has none of
        raise AssertionError(str(error)) from error
