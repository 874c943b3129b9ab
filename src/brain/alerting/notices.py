"""Notices written down: in the notification log, and in the outbox that sends them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from brain.alerting.alerts import Alert, worst
from brain.alerting.grouping import Action
from brain.alerting.tables import NOTICES
from brain.kit import outbox

CONSUMER = "soc"
"""The name of this consumer in the outbox."""
DEDUP_CHARACTERS = 255
"""The most that PagerDuty takes; https://developer.pagerduty.com/docs/events-api-v2-overview"""
LISTED = 20
"""Alerts that a notice shows; how many there are in all is said beside them."""


@dataclass(frozen=True)
class NewNotice:
    """What is to be said to one notifier about one group."""

    notifier: str
    action: Action
    group: str
    route: str
    labels: Mapping[str, str]
    dedup_key: str
    alerts: Sequence[Alert]


def add_notice(db: sa.Connection, notice: NewNotice, now: float, *, held: bool = False) -> None:
    """Note it in the log, and unless it is held back put it into the outbox."""
    summary = summarise(notice.alerts)
    values = {
        "group_id": notice.group,
        "notifier": notice.notifier,
        "action": notice.action.value,
        "alerts": [alert.id for alert in notice.alerts],
        "summary": summary,
        "at": now,
        "held": held,
    }
    id = db.execute(sa.insert(NOTICES).values(**values).returning(NOTICES.c.id)).scalar_one()
    if held:
        return
    firing = [alert for alert in notice.alerts if alert.firing] or notice.alerts
    body = {
        "notice": id,
        "action": notice.action.value,
        "group": notice.group,
        "route": notice.route,
        "labels": dict(notice.labels),
        "dedup_key": notice.dedup_key,
        "severity": worst([alert.severity for alert in firing]),
        "summary": summary,
        "at": now,
        "alerts_total": len(notice.alerts),
        "alerts": [_shown(alert) for alert in notice.alerts[:LISTED]],
    }
    put_out(db, notice.notifier, notice.dedup_key, f"notice {id}", body, now)


def put_out(db: sa.Connection, notifier: str, key: str, dedup: str, body: Mapping[str, Any], now: float) -> None:
    """Into the outbox: what is of one key is said in order."""
    outbox.put(db, consumer=CONSUMER, channel=notifier, key=key, dedup=dedup, body=body, now=now)


def dedup_key(key: str) -> str:
    """The alert's key as outside services know it: shortened, when it is too long, to what is still its own."""
    if len(key) <= DEDUP_CHARACTERS:
        return key
    return f"{key[: DEDUP_CHARACTERS - 17]} {hashlib.sha256(key.encode()).hexdigest()[:16]}"


def summarise(alerts: Sequence[Alert]) -> str:
    """What a page is about, in a line."""
    if not alerts:
        return "what this was about is long over and forgotten"
    more = len(alerts) - 1
    return alerts[0].summary + (f" (and {more} more)" if more else "")


def _shown(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "key": alert.key,
        "name": alert.name,
        "severity": alert.severity,
        "labels": alert.labels,
        "summary": alert.summary,
        "event": alert.event,
        "state": alert.state.value,
        "count": alert.count,
        "correlation_id": alert.correlation_id,
        "first_at": alert.first_at,
        "last_at": alert.last_at,
        "resolved_at": alert.resolved_at,
        "resolved_by": alert.resolved_by,
        "acknowledged_by": alert.acknowledged_by,
    }
