"""What alerting does when the clock was set back: no page waits for a time from before."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.notification_log import NotificationLogEntry
from brain.alerting.tables import ALERTS, NOTIFICATION_LOG


def bring_back(db: sa.Connection, now: float, configuration: AlertingConfiguration) -> None:
    """Let nothing lie further ahead of `now` (Unix seconds) than the settings permit, in the caller's transaction."""
    rules = configuration.signal_rules
    quiet = max(rules.quiet_after, rules.health_quiet_after or 0.0)
    for column, latest in (
        (ALERTS.c.fired_at, now),
        (ALERTS.c.held_until, now + rules.healing_timeout),
        (ALERTS.c.expires_at, now + quiet),
    ):
        db.execute(sa.update(ALERTS).where(column > latest).values({column.key: latest}))
    ahead = sa.or_(
        NOTIFICATION_LOG.c.at > now, NOTIFICATION_LOG.c.accepted_at > now, NOTIFICATION_LOG.c.refusal.is_not(sa.null())
    )
    groups = db.execute(sa.select(NOTIFICATION_LOG.c.group_id).where(ahead).distinct())
    log = repository.log_entries(db, groups.scalars().all())
    changed = {
        group: {name: _not_after(entry, now) for name, entry in entries.items()} for group, entries in log.items()
    }
    repository.save_log(db, changed)


def _not_after(entry: NotificationLogEntry, now: float) -> NotificationLogEntry:
    known = {id: replace(one, at=min(one.at, now)) for id, one in entry.fingerprints.items()}
    refusal = entry.refusal
    if refusal is not None:
        refusal = replace(refusal, at=min(refusal.at, now), since=min(refusal.since, now))
    return replace(
        entry,
        at=min(entry.at, now),
        accepted_at=min(entry.accepted_at, now),
        fingerprints=known,
        refusal=refusal,
    )
