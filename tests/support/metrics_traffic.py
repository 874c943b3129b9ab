"""Events of all kinds for tests of the metrics: a seeded fleet whose traffic is spread over hours, with late events."""

from __future__ import annotations

from random import Random
from typing import Any

from brain.charter import Event

START = 1_703_000_000.0
STATUSES = ("INVESTIGATING", "ESCALATED", "MITIGATED", "RESOLVED", "IGNORED", "OPEN")


class Traffic:
    """A source of events; the same seed gives the same events, but for their ids."""

    def __init__(self, seed: int, agents: int = 12, start: float = START, hours: float = 2.0) -> None:
        self._chance = Random(seed)
        self._agents = agents
        self._start = start
        self._seconds = hours * 3600
        self._threats: list[tuple[str, float]] = []

    def events(self, count: int) -> list[Event]:
        """The next so many events."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Event:
        chance = self._chance
        at = self._start + chance.random() * self._seconds  # in no order at all: most of them are late
        kind = chance.random()
        if kind < 0.6:
            return self._decision(at)
        if kind < 0.75:
            return self._health(at)
        if kind < 0.97:
            return self._threat(at)
        return _event(f"vendor{chance.randrange(40)}.happened", f"vendor{chance.randrange(3)}_service", at, {})

    def _decision(self, at: float) -> Event:
        chance = self._chance
        payload: dict[str, Any] = {
            "agent_id": chance.choice((f"agent-{int(chance.paretovariate(0.7)) % self._agents}", None, 7)),
            "action": chance.choice(("read", "write", "delete")),
            "effect": chance.choice(("ALLOW", "ALLOW", "DENY", "WARN", "AUDIT", "PERHAPS", None)),
            "evaluation_time_us": chance.choice((0.4, 1.7, 33.0, 5e5, -1, "fast", True)),
        }
        return _event("policy.rule_evaluated", "policy_service", at, payload)

    def _health(self, at: float) -> Event:
        chance = self._chance
        payload = {
            "severity": chance.choice(("INFO", "WARNING", "CRITICAL", "LOW", None)),
            "kind": chance.choice(("ERROR_SPIKE", "SELF_HEALING_ACTION", "AGENT_FAILURE", "MOOD")),
            "module": chance.choice(("billing", "search", "  ", None)),
            "details": chance.choice(({}, {"outcome": "failed"}, {"outcome": "healed"}, [])),
        }
        return _event("immune.event_published", "immune_service", at, payload, f"h{chance.randrange(20)}")

    def _threat(self, at: float) -> Event:
        chance = self._chance
        about = {"severity": chance.choice(("LOW", "HIGH", "CRITICAL")), "type": "scan", "source": "203.0.113.7"}
        if not self._threats or chance.random() < 0.3:
            id = f"thr_{len(self._threats):016x}"
            self._threats.append((id, at))
            told = chance.choice(({}, {"first_seen": at - 30.0}, {"first_seen": "yesterday"}))
            payload = {**about, "threat_id": id, "metadata": told, "detected_at": at}
            return _event("threat.detected", "threats_service", at, payload, id)
        id, detected = chance.choice(self._threats)
        about["threat_id"] = id
        later = detected + chance.random() * 3000
        if chance.random() < 0.3:
            payload = {**about, "duration_seconds": later - detected, "mitigated_at": later}
            return _event("threat.mitigated", "threats_service", later, payload, id)
        payload = {**about, "new_status": chance.choice(STATUSES), "changed_at": later}
        return _event("threat.status_changed", "threats_service", later, payload, id)


def _event(kind: str, source: str, at: float, payload: dict[str, Any], story: str | None = None) -> Event:
    meta = {"correlation_id": story, "version": "1.0"}
    return Event(type=kind, source=source, timestamp=at, payload=payload, meta=meta)
