"""Alerting on tables and a clock of the test's own: events in, notices out, no loop and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from brain.alerting import repository, tables
from brain.alerting.configuration import configuration
from brain.alerting.evaluation import due, evaluate, reroute
from brain.alerting.models import Alert
from brain.alerting.projector import AlertProjector
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.charter import Event, EventType
from brain.immune.events import CRITICAL_EVENT, EVENT_PUBLISHED
from brain.kit import outbox
from brain.kit.projection import Item
from brain.policy.events import ACTION_DENIED
from brain.threats.events import BECAME_CRITICAL, DETECTED, ESCALATED, MITIGATED, STATUS_CHANGED, UPDATED
from support.clock import Clock

KEY = "k" * 32


def pager(**more: Any) -> dict[str, Any]:
    """The settings of a notifier."""
    return {"kind": "pagerduty", "routing_key": KEY, **more}


def memory() -> sa.Engine:
    """An SQLite database in memory, shared by all its users."""
    return sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})


def _make_tables(engine: sa.Engine) -> None:
    tables.METADATA.create_all(engine)
    outbox.metadata.create_all(engine)


@cache
def _template() -> sa.Engine:
    engine = memory()
    _make_tables(engine)
    return engine


def _with_tables() -> sa.Engine:
    """A database in memory with the tables, copied from one that they were made in."""
    return copied(_template())


def copied(template: sa.Engine) -> sa.Engine:
    """Another database in memory with all that is in this one: a copy takes no time."""
    return _filled(memory(), template)


def renewed(template: sa.Engine | None = None) -> sa.Engine:
    """The same, in a database that is used again by each round of a test: its statements are compiled once for all."""
    template = _template() if template is None else template
    return _filled(_used_again(template), template)


@cache
def _used_again(template: sa.Engine) -> sa.Engine:
    return memory()


def _filled(engine: sa.Engine, template: sa.Engine) -> sa.Engine:
    with template.connect() as source, engine.connect() as target:
        source.connection.driver_connection.backup(target.connection.driver_connection)  # type: ignore[union-attr]
    return engine


class Alerting:
    """Alerting that moves only when it is told to."""

    def __init__(self, settings: Mapping[str, Any] | None = None, engine: sa.Engine | None = None) -> None:
        self.clock = Clock()
        self.engine = _with_tables() if engine is None else engine
        if engine is not None:
            _make_tables(engine)
        self.start({"notifiers": {"pager": pager()}} if settings is None else settings)

    def start(self, settings: Mapping[str, Any]) -> None:
        """As after a start with these settings."""
        self.configuration = configuration(AlertingSettings.model_validate(settings))
        self.projection = AlertProjector(self.configuration, self.clock)
        self.service = AlertService(self.engine, self.configuration, self.clock)
        with self.engine.begin() as db:
            reroute(db, self.clock(), self.configuration)

    def see(self, *events: Event) -> None:
        """One batch of events."""
        with self.engine.begin() as db:
            self.projection.apply(db, [Item("1", b"", event) for event in events])

    def tick(self, seconds: float = 0.0) -> list[tuple[str, str]]:
        """Let time pass, do what is due, and give what that says: pairs of notifier and action."""
        self.clock.advance(seconds)
        before = len(self.said())
        with self.engine.begin() as db:
            while due(db, self.clock()) and evaluate(db, self.clock(), self.configuration):
                pass
        return [(row.channel, row.body["action"]) for row in self.said()[before:]]

    def stored(self) -> dict[str, Alert]:
        """Every alert in the table, by id."""
        with self.engine.begin() as db:
            return {alert.id: alert for alert in repository.find_alerts(db)}

    def said(self) -> Sequence[Any]:
        """Every message in the outbox, in order."""
        with self.engine.begin() as db:
            return db.execute(sa.select(outbox.outbox).order_by(outbox.outbox.c.id)).all()

    def event(self, declared: EventType[Any], story: str | None, **values: Any) -> Event:
        """An event of that type now: its example with some values changed."""
        now = self.clock()
        event = declared.event({**declared.example, **values}, meta={"correlation_id": story})
        return Event(
            id=event.id, type=event.type, source=event.source, timestamp=now, payload=event.payload, meta=event.meta
        )

    def detected(self, id: str = "thr_1", story: str | None = None, **values: Any) -> Event:
        return self.event(DETECTED, story or id, threat_id=id, **values)

    def escalated(self, id: str = "thr_1", story: str | None = None, **values: Any) -> Event:
        return self.event(ESCALATED, story or id, threat_id=id, **values)

    def grown(self, old: str, new: str, id: str = "thr_1", story: str | None = None, **values: Any) -> Event:
        severities = {"old_severity": old, "new_severity": new, "severity": new}
        return self.event(UPDATED, story or id, threat_id=id, **severities, **values)

    def became_critical(self, id: str = "thr_1", story: str | None = None, **values: Any) -> Event:
        return self.event(BECAME_CRITICAL, story or id, threat_id=id, **values)

    def moved(self, status: str, id: str = "thr_1", story: str | None = None, **values: Any) -> Event:
        return self.event(STATUS_CHANGED, story or id, threat_id=id, new_status=status, **values)

    def mitigated(self, id: str = "thr_1", story: str | None = None) -> Event:
        return self.event(MITIGATED, story or id, threat_id=id)

    def critical(self, module: str = "billing", story: str = "s1", **values: Any) -> Event:
        return self.event(CRITICAL_EVENT, story, module=module, **values)

    def healing(self, outcome: str, module: str = "billing", story: str = "s1") -> Event:
        details = {"heals": 1, "action": "restart", "outcome": outcome}
        return self.event(
            EVENT_PUBLISHED, story, module=module, kind="SELF_HEALING_ACTION", severity="INFO", details=details
        )

    def denied(self, agent: str = "a1", story: str | None = None) -> Event:
        return self.event(ACTION_DENIED, story, agent_id=agent)
