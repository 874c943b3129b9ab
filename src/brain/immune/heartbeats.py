"""Heartbeats: an agent that says nothing for three times its interval has failed.

The interval is the one that the agent gives, else it is learned from its last heartbeats. All functions work in the
caller's transaction; times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any

import sqlalchemy as sa
from msgspec import Meta

from brain.charter import HealthKind, HealthSeverity
from brain.errors import Conflict
from brain.immune.tables import heartbeats
from brain.kit.outbox import put_health
from brain.kit.protocols import HealthReport
from brain.kit.sql import upsert

CONSUMER = "immune"
MISSED = 3
"""An agent has failed after so many intervals."""
GAPS = 16
"""Gaps between heartbeats that an interval is learned from; LEAST_GAPS at least."""
LEAST_GAPS = 3
FLAPPING = 3
"""After so many failures within FLAPPING_SECONDS one more is reported, as flapping, and then none."""
FLAPPING_SECONDS = 3600.0
MOST_AGENTS = 10_000
FORGET = 7 * 86_400.0
"""Seconds after which an agent that has failed is forgotten, when there are too many."""
SCARCE, GRAVE, ENOUGH = 0.9, 0.97, 0.85
"""The shares in use from which a resource is reported as WARNING and CRITICAL, and below which it is in order again."""


@dataclass(frozen=True)
class Heartbeat:
    """What is known of an agent that sends heartbeats."""

    agent_id: Annotated[str, Meta(description="The agent.")]
    seen_at: Annotated[float, Meta(description="When its last heartbeat came, in Unix seconds.")]
    interval_seconds: Annotated[
        float | None,
        Meta(description="Seconds between two: as the agent set it, else as learned; null: not known yet."),
    ]
    due_at: Annotated[
        float | None, Meta(description="When it counts as failed if nothing comes; null: failed, or not known.")
    ]
    failed_at: Annotated[float | None, Meta(description="Since when it counts as failed; null: it is there.")]


def beat(
    db: sa.Connection, agent: str, now: float, interval: float | None, resources: Mapping[str, float]
) -> Heartbeat:
    """Note a heartbeat. One that ends a failure is reported. Raises Conflict when there are too many agents."""
    row = db.execute(_of(agent).with_for_update()).one_or_none()
    if row is None:
        _make_room(db, now)
        state: dict[str, Any] = {"agent": agent, "gaps": [], "failures": [], "crossed": {}}
    else:
        state = dict(row._mapping)
        if row.failed_at is None and now > row.seen_at:
            state["gaps"] = [*row.gaps, round(now - row.seen_at, 3)][-GAPS:]
        if row.failed_at is not None and len(_recent(row.failures, now)) <= FLAPPING:
            _report(db, agent, HealthSeverity.INFO, f"{agent} answers again", {"failed_at": row.failed_at}, row.seen_at)
    state |= {"seen_at": now, "interval_set": interval, "failed_at": None}
    state["due"] = _due(now, interval, state["gaps"])
    state["crossed"] = _judge_resources(db, agent, resources, state["crossed"], now)
    upsert(db, heartbeats, [state])
    return _heartbeat(state)


def leave(db: sa.Connection, agent: str) -> None:
    """Expect no more of this agent."""
    db.execute(sa.delete(heartbeats).where(heartbeats.c.agent == agent))


def listed(db: sa.Connection) -> Sequence[Heartbeat]:
    """All agents that send heartbeats, by name."""
    return [_heartbeat(dict(row._mapping)) for row in db.execute(sa.select(heartbeats).order_by(heartbeats.c.agent))]


def next_due(db: sa.Connection) -> float | None:
    """When the next agent counts as failed; None while there is none."""
    found: float | None = db.execute(sa.select(sa.func.min(heartbeats.c.due))).scalar()
    return found


def fail_silent(db: sa.Connection, now: float, since: float) -> int:
    """Report agents that are silent for too long; how many. Nobody could be heard before `since`."""
    found = 0
    for row in db.execute(sa.select(heartbeats).where(heartbeats.c.due <= now).order_by(heartbeats.c.agent)).all():
        patience = row.due - row.seen_at
        if now < since + patience:
            continue
        failures = [*_recent(row.failures, now), now]
        same = sa.and_(
            heartbeats.c.agent == row.agent, heartbeats.c.seen_at == row.seen_at, heartbeats.c.due == row.due
        )
        values = {"due": None, "failed_at": now, "failures": failures}
        if not db.execute(sa.update(heartbeats).where(same).values(values)).rowcount:
            continue  # it was heard of meanwhile, or another process was quicker
        found += 1
        if len(failures) > FLAPPING + 1:
            continue
        said = f"{row.agent} sent no heartbeat for {now - row.seen_at:.3g} s"
        if len(failures) > FLAPPING:
            said += f"; it fails again and again, and more of that is not reported for {FLAPPING_SECONDS / 60:g} min"
        details = {"last_seen": row.seen_at, "patience_seconds": patience, "failures": len(failures)}
        _report(db, row.agent, HealthSeverity.CRITICAL, said, details, now, f"{row.seen_at!r}")
    return found


def _report(
    db: sa.Connection,
    agent: str,
    severity: HealthSeverity,
    message: str,
    details: Mapping[str, Any],
    at: float,
    mark: str = "",
) -> None:
    kind = HealthKind.RESOURCE_EXHAUSTION if "resource" in details else HealthKind.AGENT_FAILURE
    report = HealthReport(severity, kind, agent, message, details)
    put_health(db, CONSUMER, report, at, key=f"immune {kind} {severity} {agent} {mark or at!r}")


def _judge_resources(
    db: sa.Connection, agent: str, resources: Mapping[str, float], crossed: Mapping[str, str], now: float
) -> dict[str, str]:
    """What is scarce now, with the severity that was reported; reports what became worse."""
    scarce = dict(crossed)
    for name, share in resources.items():
        if share < ENOUGH:
            scarce.pop(name, None)
            continue
        known = scarce.get(name)
        severity = HealthSeverity.CRITICAL if share >= GRAVE else HealthSeverity.WARNING
        if share < SCARCE or known in (severity, HealthSeverity.CRITICAL):
            continue
        scarce[name] = severity.value
        said = f"{agent}: {name} is used by {share:.0%}"
        _report(db, agent, severity, said, {"resource": name, "share": share}, now, f"{name} {now!r}")
    return scarce


def _due(now: float, interval: float | None, gaps: Sequence[float]) -> float | None:
    if interval is not None:
        return now + MISSED * interval
    if len(gaps) < LEAST_GAPS:
        return None
    return now + max(MISSED * median(gaps), 1.5 * max(gaps))


def _recent(failures: Sequence[float], now: float) -> list[float]:
    return [at for at in failures if at > now - FLAPPING_SECONDS][-FLAPPING - 2 :]


def _make_room(db: sa.Connection, now: float) -> None:
    if db.execute(sa.select(sa.func.count()).select_from(heartbeats)).scalar_one() < MOST_AGENTS:
        return
    if not db.execute(sa.delete(heartbeats).where(heartbeats.c.failed_at < now - FORGET)).rowcount:
        raise Conflict(f"heartbeat refused: {MOST_AGENTS} agents send heartbeats already; let some leave")


def _of(agent: str) -> sa.Select[Any]:
    return sa.select(heartbeats).where(heartbeats.c.agent == agent)


def _heartbeat(state: Mapping[str, Any]) -> Heartbeat:
    gaps = state["gaps"]
    learned = median(gaps) if len(gaps) >= LEAST_GAPS else None
    interval = state["interval_set"] if state["interval_set"] is not None else learned
    return Heartbeat(state["agent"], state["seen_at"], interval, state["due"], state["failed_at"])
