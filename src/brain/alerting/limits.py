"""Rate limits: how many pages a notifier is sent, and one summary of those that were held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from brain.alerting.alerts import AlertState
from brain.alerting.configuration import Configuration
from brain.alerting.grouping import PAGES, Action
from brain.alerting.notices import put_out
from brain.alerting.notifier_settings import Notifier
from brain.alerting.tables import ALERTS, MEMBERS, NOTICES, SUMMARIES

SHOWN = 20
"""Held-back pages whose words a summary repeats."""


class Limits:
    """How many pages each notifier may still be sent at this moment."""

    def __init__(self, db: sa.Connection, now: float, notifiers: Mapping[str, Notifier]) -> None:
        self._db = db
        self._now = now
        self._notifiers = notifiers
        self._sent: dict[str, int] = {}

    def take(self, notifier: str) -> bool:
        """Count one more page, if there is room for it; whether there was."""
        limit = self._notifiers.get(notifier)
        if limit is None:
            return True
        sent = self._sent.get(notifier)
        if sent is None:
            sent = _sent_since(self._db, notifier, self._now - limit.per)
        self._sent[notifier] = sent + 1
        return sent < limit.at_most


def sum_up(db: sa.Connection, now: float, configuration: Configuration) -> None:
    """Send a summary to each notifier that has room again, and end those whose every alert is over."""
    waiting = sa.and_(NOTICES.c.held, NOTICES.c.summary_id.is_(None))
    for notifier in db.execute(sa.select(NOTICES.c.notifier).where(waiting).distinct()).scalars().all():
        limit = configuration.notifiers.get(notifier)
        if limit is not None and _sent_since(db, notifier, now - limit.per) < limit.at_most:
            _summarise(db, notifier, now)
    for row in db.execute(sa.select(SUMMARIES).where(SUMMARIES.c.open)).all():
        groups = sa.select(NOTICES.c.group_id).where(NOTICES.c.summary_id == row.id)
        members = sa.select(MEMBERS.c.alert_id).where(MEMBERS.c.group_id.in_(groups))
        firing = sa.exists().where(ALERTS.c.state == AlertState.FIRING.value, ALERTS.c.id.in_(members))
        if not db.execute(sa.select(firing)).scalar_one():
            db.execute(sa.update(SUMMARIES).where(SUMMARIES.c.id == row.id).values(open=False))
            _put(db, row.notifier, row.id, Action.RESOLVE, "all alerts whose pages were held back are over", [], now)


def _summarise(db: sa.Connection, notifier: str, now: float) -> None:
    mine = sa.and_(NOTICES.c.held, NOTICES.c.summary_id.is_(None), NOTICES.c.notifier == notifier)
    held = db.execute(sa.select(NOTICES.c.summary).where(mine).order_by(NOTICES.c.id)).scalars().all()
    new = sa.insert(SUMMARIES).values(notifier=notifier, at=now, open=True).returning(SUMMARIES.c.id)
    id = db.execute(new).scalar_one()
    db.execute(sa.update(NOTICES).where(mine).values(summary_id=id))
    pages = "1 page was" if len(held) == 1 else f"{len(held)} pages were"
    _put(db, notifier, id, Action.TRIGGER, f"{pages} held back by the rate limit: {held[0]}", held, now)


def _put(
    db: sa.Connection, notifier: str, id: int, action: Action, summary: str, held: Sequence[str], now: float
) -> None:
    key = f"held back {notifier} {id}"
    body: dict[str, object] = {
        "notice": None,
        "action": action.value,
        "group": key,
        "route": "",
        "labels": {},
        "dedup_key": key,
        "severity": "HIGH",
        "summary": summary,
        "at": now,
        "alerts_total": 0,
        "alerts": [],
        "held_back": list(held[:SHOWN]),
        "held_back_total": len(held),
    }
    put_out(db, notifier, key, f"summary {id} {action.value}", body, now)


def _sent_since(db: sa.Connection, notifier: str, since: float) -> int:
    pages = [action.value for action in PAGES]
    mine = sa.and_(NOTICES.c.notifier == notifier, NOTICES.c.at > since, NOTICES.c.action.in_(pages))
    count = db.execute(sa.select(sa.func.count()).where(mine, sa.not_(NOTICES.c.held))).scalar_one()
    return int(count)
