"""Messages that need not be sent any more when their turn comes."""

from __future__ import annotations

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.rate_limits import SUMMARY
from brain.alerting.tables import ALERTS, CONSUMER, SUMMARIES
from brain.connectors.pages import PAGING, PageAction
from brain.kit.outbox import OutboxRow, OutboxState, outbox

_OVER = "its alerts are resolved by now"


def why_obsolete(db: sa.Connection, row: OutboxRow, configuration: AlertingConfiguration, now: float) -> str | None:
    """Why the row need not be sent at the Unix time `now`; None when it must be.

    Its page was never accepted, or is over (when somebody retries it by hand), or was accepted while it waited.
    """
    action = PageAction(row.body["action"])
    if row.body.get("only") and action in PAGING:
        return _why_unwanted(db, row, configuration, now)
    return _why_settled(db, row, action)


def _why_unwanted(db: sa.Connection, row: OutboxRow, configuration: AlertingConfiguration, now: float) -> str | None:
    """The same for a page to one address, which waits outside the order of the others."""
    later = sa.and_(outbox.c.consumer == CONSUMER, outbox.c.channel == row.channel, outbox.c.key == row.body["thread"])
    query = sa.select(outbox.c.body).where(later, outbox.c.id > row.id, outbox.c.state == OutboxState.SENT.value)
    actions = {body["action"] for body in db.execute(query).scalars()}
    if PageAction.RESOLVE in actions:
        return _OVER
    return None if is_wanted(db, row, configuration, now) else "its alerts are over, acknowledged or muted by now"


def _why_settled(db: sa.Connection, row: OutboxRow, action: PageAction) -> str | None:
    thread = row.body.get("thread", row.key)
    mine = sa.and_(outbox.c.consumer == CONSUMER, outbox.c.channel == row.channel, outbox.c.key == thread)
    settled = outbox.c.state.in_([OutboxState.SENT.value, OutboxState.REFUSED.value])
    columns = (outbox.c.id, outbox.c.state, outbox.c.body, outbox.c.sent_at)
    for id, state, body, sent_at in db.execute(
        sa.select(*columns).where(mine, settled, outbox.c.id != row.id).order_by(outbox.c.id.desc())
    ):
        was_sent, of = state == OutboxState.SENT, PageAction(body["action"])
        if id > row.id:
            if action in PAGING and of is PageAction.RESOLVE:
                return _OVER
        elif action in PAGING:
            if was_sent and action is PageAction.REPEAT and (sent_at or 0.0) >= row.created_at:
                return "the page that it repeats was accepted after it was decided"
            return None
        elif of is PageAction.RESOLVE and was_sent:
            break
        elif was_sent and of in PAGING:
            return None
    return None if action in PAGING else "the service never accepted the page that this message would end"


def is_wanted(db: sa.Connection, row: OutboxRow, configuration: AlertingConfiguration, now: float) -> bool:
    """Whether an alert of the page still asks for a person: it fires, nobody acknowledged it, and nothing mutes it."""
    if row.dedup.startswith(SUMMARY):
        number = int(row.dedup.split()[1])
        return bool(db.execute(sa.select(SUMMARIES.c.open).where(SUMMARIES.c.id == number)).scalar())
    ids = [alert["id"] for alert in row.body["alerts"]]
    found = repository.find_alerts(db, ALERTS.c.id.in_(ids))
    asking = [alert for alert in found if alert.firing and alert.acknowledged_by is None]
    if not asking:
        return False
    mutes = repository.muted_now(db, asking, configuration.inhibitions, now)
    return any(alert.id not in mutes for alert in asking)
