"""Evaluation: alerts that expire, groups that are due, held-back pages that are summarised.

`evaluate` is called again and again with the present time. A decision and its row of the outbox are written in one
transaction: a process that is killed has either done both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.grouping import AlertGroup, GroupDecision, decide
from brain.alerting.models import Alert, AlertState, resolve
from brain.alerting.muting import MutedBy, muted
from brain.alerting.notification_log import NotificationLogEntry, NotificationState, is_news
from brain.alerting.notifications import NewNotification, add_notification, forget_refused
from brain.alerting.rate_limits import RateLimits, summarise_held_back
from brain.alerting.silences import Silence
from brain.alerting.step_back import bring_back
from brain.alerting.tables import (
    ALERTS,
    GROUPS,
    MEMBERS,
    NOTIFICATION_LOG,
    NOTIFICATIONS,
    SILENCES,
    SUMMARIES,
    VERSIONS,
    lock_tables,
)
from brain.text import short_key

_BATCH = 500
"""Most groups in one transaction, so that the projection need not wait long for its own."""
_DEDUP_CHARACTERS = 255
"""The longest dedup_key that PagerDuty accepts: https://developer.pagerduty.com/docs/events-api-v2-overview"""


def evaluate(db: sa.Connection, now: float, configuration: AlertingConfiguration) -> bool:
    """Do everything that is due at `now` (Unix seconds). True when more may be due at once."""
    lock_tables(db)
    _expire(db, now, configuration)
    groups = repository.due_groups(db, now, _BATCH)
    if groups:
        _decide(db, groups, now, configuration)
    summarise_held_back(db, now, configuration)
    return len(groups) == _BATCH


def due(db: sa.Connection, now: float) -> bool:
    """Whether `evaluate` at `now` could do anything; only reads."""
    firing = ALERTS.c.state == AlertState.FIRING.value
    expired = sa.and_(firing, sa.or_(ALERTS.c.expires_at <= now, ALERTS.c.held_until <= now))
    waiting = [
        sa.exists().where(GROUPS.c.due_at <= now),
        sa.exists().where(expired),
        sa.exists().where(NOTIFICATIONS.c.held, NOTIFICATIONS.c.summary_id.is_(None)),
        sa.exists().where(SUMMARIES.c.open),
    ]
    return bool(db.execute(sa.select(sa.or_(*waiting))).scalar_one())


def reroute(db: sa.Connection, now: float, configuration: AlertingConfiguration) -> None:
    """Put firing alerts into the groups of routes that are new in the settings, and make every group due.

    `now` is in Unix seconds: nothing waits for a time from before a clock was set back.
    """
    lock_tables(db)
    bring_back(db, now, configuration)
    repository.join_groups(db, repository.firing(db), configuration.routes)
    repository.touch(db, GROUPS.c.due_at.is_not(None))
    repository.touch_firing(db)


def delete_old(db: sa.Connection, before: float) -> None:
    """Delete alerts resolved, notifications decided and silences ended before this Unix time."""
    lock_tables(db)
    old = sa.and_(ALERTS.c.state == AlertState.RESOLVED.value, ALERTS.c.resolved_at < before)
    db.execute(sa.delete(MEMBERS).where(MEMBERS.c.alert_id.in_(sa.select(ALERTS.c.id).where(old))))
    db.execute(sa.delete(ALERTS).where(old))
    empty = GROUPS.c.id.not_in(sa.select(MEMBERS.c.group_id))
    db.execute(sa.delete(NOTIFICATION_LOG).where(NOTIFICATION_LOG.c.group_id.in_(sa.select(GROUPS.c.id).where(empty))))
    db.execute(sa.delete(GROUPS).where(empty))
    db.execute(sa.delete(NOTIFICATIONS).where(NOTIFICATIONS.c.at < before))
    db.execute(sa.delete(SUMMARIES).where(SUMMARIES.c.at < before))
    db.execute(sa.delete(SILENCES).where(SILENCES.c.ends_at < before))
    still = sa.exists().where(ALERTS.c.key == VERSIONS.c.key, ALERTS.c.state == AlertState.FIRING.value)
    db.execute(sa.delete(VERSIONS).where(VERSIONS.c.at < before, ~still))


def _expire(db: sa.Connection, now: float, configuration: AlertingConfiguration) -> None:
    """Resolve alerts that had no event for long enough; release alerts that healing did not answer in time."""
    firing = ALERTS.c.state == AlertState.FIRING.value
    changed: list[Alert] = []
    for alert in repository.find_alerts(db, firing, sa.or_(ALERTS.c.expires_at <= now, ALERTS.c.held_until <= now)):
        if alert.expires_at is not None and alert.expires_at <= now:
            changed.append(resolve(alert, "no further events", alert.expires_at))
        else:
            changed.append(replace(alert, held_until=None))
    repository.save_alerts(db, changed, configuration.routes)


def _decide(
    db: sa.Connection, groups: Sequence[repository.StoredGroup], now: float, configuration: AlertingConfiguration
) -> None:
    ids = [group.id for group in groups]
    silences = repository.silences(db, ending_after=now)
    firing = repository.firing(db)
    muting = muted(firing, silences, configuration.inhibitions, now)
    log = repository.log_entries(db, ids)
    members = repository.members_of(db, ids, log, firing)
    limits = RateLimits(db, now, configuration.notifiers)
    changed: dict[str, Mapping[str, NotificationLogEntry]] = {}
    rows: list[dict[str, Any]] = []
    for stored in groups:
        group = AlertGroup(
            members=members[stored.id],
            muted=frozenset(muting),
            log=log[stored.id],
            route=configuration.route(stored.route),
        )
        decision = decide(group, configuration.resolve_receiver, now)
        dedup_key = stored.dedup_key
        if decision.notifications or decision.log != group.log:
            changed[stored.id], dedup_key = _notify(db, stored, group, decision, limits)
        mutes = [muting[alert.id] for alert in group.members if alert.id in muting]
        times = _decision_times(decision, group, configuration, now)
        rows.append(
            {
                **asdict(stored),
                "dedup_key": dedup_key,
                "due_at": _earliest([*times, *_mute_ends(mutes, silences)]),
                "inhibited": any(why.inhibited_by is not None for why in mutes),
            }
        )
    repository.save_log(db, changed)
    repository.save_groups(db, rows)


def _notify(
    db: sa.Connection, stored: repository.StoredGroup, group: AlertGroup, decision: GroupDecision, limits: RateLimits
) -> tuple[dict[str, NotificationLogEntry], str | None]:
    """Store the notifications or hold them back. The log after that, and the dedup_key that outside services know."""
    by_id = {alert.id: alert for alert in group.members}
    log = dict(decision.log)
    was_open = any(entry.state is NotificationState.OPEN for entry in group.log.values())
    dedup_key = stored.dedup_key if was_open else None
    for planned in decision.notifications:
        alerts = [by_id[id] for id in planned.alerts if id in by_id]
        dedup_key = dedup_key or short_key(alerts[0].key, _DEDUP_CHARACTERS)
        held = planned.action.is_paging and not limits.allow(planned.notifier)
        before = group.log.get(planned.notifier, NotificationLogEntry())
        if held:
            is_open = before.state is NotificationState.OPEN
            state = before.state if is_open else NotificationState.SUMMARISED
            log[planned.notifier] = replace(log[planned.notifier], state=state, paged=before.paged)
        if before.refusal is not None:
            forget_refused(db, stored.id, planned.notifier, closing=not planned.action.is_paging)
        new = NewNotification(
            planned.notifier,
            planned.action,
            stored.id,
            stored.route,
            stored.labels,
            dedup_key,
            alerts,
            number=log[planned.notifier].number,
            news=[one.id for one in alerts if is_news(one, before.open_fingerprints.get(one.id))],
        )
        add_notification(db, new, limits.now, held=held)
    return log, dedup_key


def _decision_times(
    decision: GroupDecision, group: AlertGroup, configuration: AlertingConfiguration, now: float
) -> list[float | None]:
    """When the decision may change by itself. A handover matters only while somebody is to be paged."""
    if decision.due_at is None or group.route is None:
        return [decision.due_at]
    return [decision.due_at, configuration.next_handover(group.route, now)]


def _mute_ends(mutes: Sequence[MutedBy], silences: Sequence[Silence]) -> list[float | None]:
    """When a silence or a hold on the group's alerts ends by itself."""
    ends = {silence.id: silence.ends_at for silence in silences}
    return [*(why.held_until for why in mutes), *(ends.get(why.silenced_by or "") for why in mutes)]


def _earliest(times: Iterable[float | None]) -> float | None:
    return min((at for at in times if at is not None), default=None)
