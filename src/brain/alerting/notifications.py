"""Notifications as they are stored: a row for people to look at, and a row of the outbox that is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from brain.alerting.models import Alert, AlertFields, worst
from brain.alerting.tables import CONSUMER, NOTIFICATIONS
from brain.connectors.pages import PAGING, PageAction
from brain.kit import outbox

NOTICE = "notice "
"""What the dedup of a message about a group begins with; the number of its notification follows."""
LISTED = 20
"""Most alerts that a page lists; it says how many there are in all."""
_LISTED_FIELDS = (*(field.name for field in fields(AlertFields) if field.name != "acknowledged_at"), "event")


@dataclass(frozen=True)
class NewNotification:
    """One notification to one notifier about one group."""

    notifier: str
    action: PageAction
    group: str
    route: str
    labels: Mapping[str, str]
    dedup_key: str
    """Names what the page is about in outside services."""
    alerts: Sequence[Alert]
    number: int = 0
    """Which message about the group to this notifier it is."""
    news: Sequence[str] = ()
    """The ids of the alerts that the notifier does not know of, or that got worse."""


def add_notification(db: sa.Connection, new: NewNotification, now: float, *, held: bool = False) -> None:
    """Store the notification, and put it into the outbox unless the rate limit holds it back."""
    summary = summarise(new.alerts)
    values = {
        "group_id": new.group,
        "notifier": new.notifier,
        "action": new.action.value,
        "alerts": [alert.id for alert in new.alerts],
        "summary": summary,
        "at": now,
        "held": held,
    }
    id = db.execute(sa.insert(NOTIFICATIONS).values(**values).returning(NOTIFICATIONS.c.id)).scalar_one()
    if held:
        return
    firing = [alert for alert in new.alerts if alert.firing] or new.alerts
    body = {
        "action": new.action.value,
        "group": new.group,
        "route": new.route,
        "labels": dict(new.labels),
        "dedup_key": new.dedup_key,
        "severity": worst([alert.severity for alert in firing]),
        "summary": summary,
        "at": now,
        "alerts_total": len(new.alerts),
        "alerts": [listed_alert(alert) for alert in new.alerts[:LISTED]],
        "number": new.number,
        "news": list(new.news),
    }
    put_into_outbox(db, new.notifier, new.dedup_key, f"{NOTICE}{id}", body, now)


def alerts_of(db: sa.Connection, dedup: str) -> list[str]:
    """The ids of the alerts that a message of the outbox is about, by its dedup; all of them, also those not listed."""
    number = dedup.removeprefix(NOTICE)
    if not number.isdecimal():
        return []
    found = db.execute(sa.select(NOTIFICATIONS.c.alerts).where(NOTIFICATIONS.c.id == int(number))).scalar()
    return list(found or ())


def forget_refused(db: sa.Connection, group: str, notifier: str, *, closing: bool) -> None:
    """Delete the messages of the group that this notifier's service refused: another one takes their place."""
    dedup = sa.literal(NOTICE) + sa.cast(NOTIFICATIONS.c.id, sa.String)
    rows = outbox.outbox
    mine = sa.and_(NOTIFICATIONS.c.group_id == group, NOTIFICATIONS.c.notifier == notifier)
    asks = NOTIFICATIONS.c.action.in_([action.value for action in PAGING])
    found = db.execute(
        sa.select(NOTIFICATIONS.c.id, rows.c.id)
        .join(rows, sa.and_(rows.c.consumer == CONSUMER, rows.c.dedup == dedup))
        .where(mine, ~asks if closing else asks, rows.c.state == outbox.OutboxState.REFUSED.value)
    ).all()
    db.execute(sa.delete(NOTIFICATIONS).where(NOTIFICATIONS.c.id.in_([notice for notice, _ in found])))
    db.execute(sa.delete(rows).where(rows.c.id.in_([row for _, row in found])))


def put_into_outbox(
    db: sa.Connection, notifier: str, key: str, dedup: str, body: Mapping[str, Any], now: float
) -> None:
    """Put a page into the outbox. Pages of one key are sent in order."""
    outbox.put(db, outbox.Message(consumer=CONSUMER, channel=notifier, key=key, dedup=dedup, body=body), now)


def summarise(alerts: Sequence[Alert]) -> str:
    """The alerts in one line."""
    if not alerts:
        return "the alerts of this page are over and have been deleted"
    more = len(alerts) - 1
    return alerts[0].summary + (f" (and {more} more)" if more else "")


def listed_alert(alert: Alert) -> dict[str, Any]:
    """The alert as a page lists it, as JSON values."""
    return {**{name: getattr(alert, name) for name in _LISTED_FIELDS}, "resolved_by": alert.resolved_by or ""}
