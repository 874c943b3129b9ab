"""Rate limits: how many pages a notifier is sent, and one summary of the pages that were held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.models import AlertState
from brain.alerting.notifications import put_into_outbox
from brain.alerting.tables import ALERTS, MEMBERS, NOTIFICATIONS, SUMMARIES
from brain.charter import Severity
from brain.connectors.notifiers import NotifierSettings
from brain.connectors.pages import PAGING, PageAction

LISTED = 20
"""Most held-back pages that a summary lists."""
AGAIN_SECONDS = 60.0
"""Seconds after which a summary that was refused is sent again."""
SUMMARY = "summary "
"""What the dedup of a summary begins with; its number and the action follow."""
_OVER = "all alerts whose pages were held back are over"


@dataclass(frozen=True)
class _Summary:
    """One page about held-back pages."""

    notifier: str
    id: int
    action: PageAction
    text: str


class RateLimits:
    """How many pages each notifier may still be sent at this moment."""

    def __init__(self, db: sa.Connection, now: float, notifiers: Mapping[str, NotifierSettings]) -> None:
        self._db = db
        self.now = now
        self._notifiers = notifiers
        self._sent: dict[str, int] = {}

    def allow(self, notifier: str) -> bool:
        """Count one more page to this notifier. False when it is one too many."""
        limit = self._notifiers.get(notifier)
        if limit is None:
            return True
        sent = self._sent.get(notifier)
        if sent is None:
            sent = _sent_within(self._db, notifier, self.now, limit.per)
        self._sent[notifier] = sent + 1
        return sent < limit.at_most


def summarise_held_back(db: sa.Connection, now: float, configuration: AlertingConfiguration) -> None:
    """Send a summary to each notifier that may be paged again; resolve the summaries whose alerts are all over."""
    waiting = sa.and_(NOTIFICATIONS.c.held, NOTIFICATIONS.c.summary_id.is_(None))
    for notifier in db.execute(sa.select(NOTIFICATIONS.c.notifier).where(waiting).distinct()).scalars().all():
        limit = configuration.notifiers.get(notifier)
        if limit is None or _was_refused(db, notifier, now):
            continue
        if _sent_within(db, notifier, now, limit.per) < limit.at_most:
            _summarise(db, notifier, now)
    for row in db.execute(sa.select(SUMMARIES).where(SUMMARIES.c.open)).all():
        groups = sa.select(NOTIFICATIONS.c.group_id).where(NOTIFICATIONS.c.summary_id == row.id)
        members = sa.select(MEMBERS.c.alert_id).where(MEMBERS.c.group_id.in_(groups))
        firing = sa.exists().where(ALERTS.c.state == AlertState.FIRING.value, ALERTS.c.id.in_(members))
        if not db.execute(sa.select(firing)).scalar_one():
            db.execute(sa.update(SUMMARIES).where(SUMMARIES.c.id == row.id).values(open=False))
            _put(db, _Summary(row.notifier, row.id, PageAction.RESOLVE, _OVER), [], now)


def refused_summary(db: sa.Connection, id: int, now: float) -> None:
    """Take a summary apart that the service refused; what still fires goes into the next one, after AGAIN_SECONDS."""
    mine = NOTIFICATIONS.c.summary_id == id
    members = sa.select(MEMBERS.c.group_id).join(ALERTS, ALERTS.c.id == MEMBERS.c.alert_id)
    firing = members.where(ALERTS.c.state == AlertState.FIRING.value)
    still = sa.and_(mine, NOTIFICATIONS.c.group_id.in_(firing))
    db.execute(sa.update(NOTIFICATIONS).where(still).values(summary_id=None))
    db.execute(sa.update(SUMMARIES).where(SUMMARIES.c.id == id).values(open=False, refused_at=now))


def _was_refused(db: sa.Connection, notifier: str, now: float) -> bool:
    """Whether a summary was refused so lately that another one should wait."""
    late = SUMMARIES.c.refused_at.between(now - AGAIN_SECONDS, now)
    return bool(db.execute(sa.select(sa.exists().where(SUMMARIES.c.notifier == notifier, late))).scalar_one())


def _summarise(db: sa.Connection, notifier: str, now: float) -> None:
    mine = sa.and_(NOTIFICATIONS.c.held, NOTIFICATIONS.c.summary_id.is_(None), NOTIFICATIONS.c.notifier == notifier)
    held = db.execute(sa.select(NOTIFICATIONS.c.summary).where(mine).order_by(NOTIFICATIONS.c.id)).scalars().all()
    new = sa.insert(SUMMARIES).values(notifier=notifier, at=now, open=True).returning(SUMMARIES.c.id)
    id = db.execute(new).scalar_one()
    db.execute(sa.update(NOTIFICATIONS).where(mine).values(summary_id=id))
    pages = "1 page was" if len(held) == 1 else f"{len(held)} pages were"
    text = f"{pages} held back by the rate limit: {held[0]}"
    _put(db, _Summary(notifier, id, PageAction.TRIGGER, text), held, now)


def _put(db: sa.Connection, summary: _Summary, held: Sequence[str], now: float) -> None:
    key = f"held back {summary.notifier} {summary.id}"
    body: dict[str, object] = {
        "action": summary.action.value,
        "group": key,
        "route": "",
        "labels": {},
        "dedup_key": key,
        "severity": Severity.HIGH.value,
        "summary": summary.text,
        "at": now,
        "alerts_total": 0,
        "alerts": [],
        "held_back": list(held[:LISTED]),
        "held_back_total": len(held),
    }
    put_into_outbox(db, summary.notifier, key, f"{SUMMARY}{summary.id} {summary.action.value}", body, now)


def _sent_within(db: sa.Connection, notifier: str, now: float, seconds: float) -> int:
    """How many pages were sent in the last seconds; not those of a later time, from before a clock was set back."""
    pages = [action.value for action in PAGING]
    late = sa.and_(NOTIFICATIONS.c.at > now - seconds, NOTIFICATIONS.c.at <= now)
    mine = sa.and_(NOTIFICATIONS.c.notifier == notifier, late, NOTIFICATIONS.c.action.in_(pages))
    count = db.execute(sa.select(sa.func.count()).where(mine, sa.not_(NOTIFICATIONS.c.held))).scalar_one()
    return int(count)
