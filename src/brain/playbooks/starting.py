"""What starts a run, and what shows that one helped: the projection's part, each event once.

What keeps the loop from feeding itself is here: the depth that events of playbooks carry, the runs under one
correlation id, the runs of one playbook and of all in an hour, and the cool-down of each subject. Each is said by an
event, once an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from brain import limits
from brain.charter import Event, HealthKind, HealthSeverity, Pattern
from brain.errors import InvalidInput
from brain.kit.outbox import put_event, put_health
from brain.kit.projection import Item
from brain.kit.protocols import HealthReport
from brain.kit.sql import insert_missing
from brain.logs import Log
from brain.playbooks.conditions import filled, holds, value_at, values_of
from brain.playbooks.events import STARTED, STOPPED
from brain.playbooks.models import CONSUMER, GOING_ON, Playbook, RunState, Step, StopReason
from brain.playbooks.settings import PlaybookSettings
from brain.playbooks.tables import RUNS, STEPS, STOPS
from brain.text import clip_text
from brain.typed import ready

log: Log = Log("brain.playbooks")

HOUR = 3600.0
DEPTH = "playbook_depth"
"""In the meta of events that a playbook caused: how many playbooks led to them."""
CRITICAL_HEALTH = "immune.critical_event"


class _Stop(NamedTuple):
    reason: StopReason
    limit: float
    subject: str = ""


class PlaybookProjector:
    """Applies events: starts runs within their budgets, and notes what shows that a run helped."""

    def __init__(
        self, playbooks: Sequence[Playbook], settings: PlaybookSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._playbooks = [(Pattern(list(one.trigger)), one) for one in playbooks]
        self._verifies = [Pattern(one.verify.event) for one in playbooks if one.verify is not None]

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply one batch of events, in stream order."""
        for item in items:
            event = item.event
            if event is None:
                continue
            fitting = [playbook for pattern, playbook in self._playbooks if pattern.matches(event.type)]
            values = values_of(event)
            if any(pattern.matches(event.type) for pattern in self._verifies):
                self._note_outcome(db, event, values)
            for playbook in fitting:
                if holds(playbook.where, values):
                    self.start(db, playbook, event)

    def start(self, db: sa.Connection, playbook: Playbook, event: Event) -> str | None:
        """Start a run of the playbook, in the caller's transaction, if its limits let it; the run's id, else None."""
        values = values_of(event)
        now = self._clock()
        id = run_id(playbook.name, event.id)
        if event.timestamp < now - playbook.timeout or _exists(db, id):
            return None
        about = value_at(values, playbook.subject) if playbook.subject else ""
        if about is None:
            return None
        subject, depth = clip_text(str(about), 200), _depth_of(event) + 1
        correlation_id = clip_text(event.correlation_id or event.id, 500)
        if playbook.after and not _count(db, RUNS.c.playbook.in_(playbook.after), RUNS.c.subject == subject):
            return None
        stop = self._stop(db, playbook, subject, correlation_id, depth, now)
        if stop is not None:
            self._announce_stop(db, playbook, stop, event, depth, now)
            return None
        try:
            content = _as_begun(playbook, values)
        except InvalidInput as error:
            log.warning(
                "a playbook does not start: what verifies it cannot be had", playbook=playbook.name, error=str(error)
            )
            return None
        row = {
            "id": id,
            "playbook": playbook.name,
            "content": msgspec.to_builtins(content),
            "event": msgspec.to_builtins(values),
            "subject": subject,
            "correlation_id": correlation_id,
            "depth": depth,
            "state": RunState.RUNNING.value,
            "step": 0,
            "dry_run": playbook.dry_run or self._settings.dry_run,
            "asked": False,
            "reason": "",
            "created_at": now,
            "due_at": now,
        }
        insert_missing(db, RUNS, [row])
        payload = {
            "run_id": id,
            "playbook": playbook.name,
            "subject": subject,
            "trigger_id": event.id,
            "trigger_type": event.type,
            "depth": depth,
            "steps": len(content.steps),
            "dry_run": row["dry_run"],
        }
        put_event(db, CONSUMER, STARTED.event(payload, meta=meta_of(correlation_id, event.id, depth)), now)
        return id

    def _stop(
        self, db: sa.Connection, playbook: Playbook, subject: str, correlation_id: str, depth: int, now: float
    ) -> _Stop | None:
        """Which limit keeps this run from starting; None when none does."""
        if depth > self._settings.depth:
            return _Stop(StopReason.DEPTH, self._settings.depth)
        mine = RUNS.c.playbook == playbook.name
        if playbook.cooldown and _count(
            db, mine, RUNS.c.subject == subject, RUNS.c.created_at > now - playbook.cooldown
        ):
            return _Stop(StopReason.COOLDOWN, playbook.cooldown, subject)
        if _count(db, RUNS.c.correlation_id == correlation_id) >= self._settings.per_correlation:
            return _Stop(StopReason.CORRELATION_BUDGET, self._settings.per_correlation)
        if _count(db, mine, RUNS.c.created_at > now - HOUR) >= playbook.per_hour:
            return _Stop(StopReason.PLAYBOOK_BUDGET, playbook.per_hour)
        if _count(db, RUNS.c.created_at > now - HOUR) >= self._settings.per_hour:
            return _Stop(StopReason.TOTAL_BUDGET, self._settings.per_hour)
        return None

    def _announce_stop(
        self, db: sa.Connection, playbook: Playbook, stop: _Stop, event: Event, depth: int, now: float
    ) -> None:
        """Count the stop, and announce it unless that was done within the hour."""
        key = sa.and_(
            STOPS.c.playbook == playbook.name, STOPS.c.subject == stop.subject, STOPS.c.reason == stop.reason.value
        )
        known = db.execute(sa.select(STOPS.c.since).where(key)).scalar()
        if event.type == CRITICAL_HEALTH:
            put_outcome(db, values_of(event), f"playbook {playbook.name} was stopped: {stop.reason.value}", False, now)
        if known is not None and known > now - HOUR:
            db.execute(STOPS.update().where(key).values(count=STOPS.c.count + 1, last_at=now))
            return
        db.execute(STOPS.delete().where(key))
        row = {"playbook": playbook.name, "subject": stop.subject, "reason": stop.reason.value}
        db.execute(STOPS.insert().values({**row, "since": now, "last_at": now, "count": 1}))
        payload = {**row, "limit": float(stop.limit), "trigger_id": event.id}
        meta = meta_of(event.correlation_id or event.id, event.id, depth)
        put_event(db, CONSUMER, STOPPED.event(payload, meta=meta), now)

    def _note_outcome(self, db: sa.Connection, event: Event, values: Mapping[str, Any]) -> None:
        """Note at each run that waits for such an event that it came; one before the last step began does not count."""
        states = [state.value for state in GOING_ON]
        columns = (RUNS.c.id, RUNS.c.content, STEPS.c.started_at)
        last = sa.and_(STEPS.c.run == RUNS.c.id, STEPS.c.step >= RUNS.c.step - 1)
        query = sa.select(*columns).join(STEPS, last).where(RUNS.c.state.in_(states), RUNS.c.verified.is_(None))
        for row in db.execute(query.order_by(RUNS.c.id, STEPS.c.step)).all():
            playbook = msgspec.convert(row.content, ready(Playbook))
            verify = playbook.verify
            if verify is None or event.timestamp < row.started_at or not Pattern(verify.event).matches(event.type):
                continue
            if holds(verify.where, values):
                outcome = {"verified": not verify.absent, "due_at": self._clock()}
                db.execute(RUNS.update().where(RUNS.c.id == row.id).values(outcome))


def run_id(playbook: str, event_id: str) -> str:
    """The id of the run that this event starts: the same each time."""
    return "run_" + sha256(f"{playbook}\0{event_id}".encode()).hexdigest()[:16]


def meta_of(correlation_id: str, cause: str, depth: int) -> dict[str, Any]:
    """The meta of what a run announces and causes."""
    return {"correlation_id": correlation_id, "causation_id": cause, DEPTH: depth}


def put_outcome(db: sa.Connection, trigger: Mapping[str, Any], words: str, healed: bool, now: float) -> None:
    """Report how the healing of a critical health event ended, so that its page waits no longer.

    A report of the same words for the same event counts once.
    """
    payload = trigger["payload"]
    report = HealthReport(
        severity=HealthSeverity.INFO if healed else HealthSeverity.WARNING,
        kind=HealthKind.SELF_HEALING_ACTION,
        module=str(payload.get("module", ""))[: limits.ID],
        message=words[: limits.TEXT],
        details={"heals": payload.get("event_id"), "outcome": "healed" if healed else "failed"},
        correlation_id=trigger["meta"].get("correlation_id"),
    )
    key = sha256(f"{trigger['id']} {words}".encode()).hexdigest()
    put_health(db, CONSUMER, report, now, key=f"{CONSUMER} {key}")


def _as_begun(playbook: Playbook, values: Mapping[str, Any]) -> Playbook:
    """The playbook as the run keeps it: approval is its first step, and what verifies it has the event's values."""
    steps = playbook.steps
    if playbook.approval:
        steps = [Step(kind="ask", options={"question": f"May playbook {playbook.name} run?"}), *steps]
    verify = playbook.verify
    if verify is not None:
        verify = msgspec.structs.replace(verify, where=filled(verify.where, values))
    return msgspec.structs.replace(playbook, steps=steps, verify=verify)


def _depth_of(event: Event) -> int:
    depth = event.meta.get(DEPTH)
    return depth if type(depth) is int and depth > 0 else 0


def _exists(db: sa.Connection, id: str) -> bool:
    return db.execute(sa.select(RUNS.c.id).where(RUNS.c.id == id)).first() is not None


def _count(db: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    return db.execute(sa.select(sa.func.count()).select_from(RUNS).where(*where)).scalar_one()
