"""What time brings about: alerts that expire, pages that are due, held-back pages that are summed up.

`tick` is called again and again with the present time. Whatever it decides it writes with the row of the outbox that
says it, in one transaction: killed at any moment, it has either done both or neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from brain.alerting import repository
from brain.alerting.alerts import Alert, AlertState, resolved
from brain.alerting.configuration import Configuration
from brain.alerting.grouping import PAGES, Decision, Standing, Told, decide
from brain.alerting.limits import Limits, sum_up
from brain.alerting.muting import Muted, Silence, muted
from brain.alerting.notices import NewNotice, add_notice, dedup_key
from brain.alerting.tables import ALERTS, GROUPS, MEMBERS, NOTICES, SILENCES, SUMMARIES, TOLD, alone

_BATCH = 500
"""Groups decided upon in one transaction, so that the projection need not wait long for its own."""


def tick(db: sa.Connection, now: float, configuration: Configuration) -> bool:
    """Do what is due at `now` (Unix seconds); whether there may be more to do at once."""
    alone(db)
    _expire(db, now, configuration)
    groups = repository.due_groups(db, now, _BATCH)
    if groups:
        _decide(db, groups, now, configuration)
    sum_up(db, now, configuration)
    return len(groups) == _BATCH


def due(db: sa.Connection, now: float) -> bool:
    """Whether a tick at `now` could do anything; only reads."""
    firing = ALERTS.c.state == AlertState.FIRING.value
    expired = sa.and_(firing, sa.or_(ALERTS.c.expires_at <= now, ALERTS.c.held_until <= now))
    waiting = [
        sa.exists().where(GROUPS.c.due_at <= now),
        sa.exists().where(expired),
        sa.exists().where(NOTICES.c.held, NOTICES.c.summary_id.is_(None)),
        sa.exists().where(SUMMARIES.c.open),
    ]
    return bool(db.execute(sa.select(sa.or_(*waiting))).scalar_one())


def reroute(db: sa.Connection, configuration: Configuration) -> None:
    """Put what fires into the groups of routes that are new in the settings, and have every group looked at anew."""
    alone(db)
    repository.join_groups(db, repository.firing(db), configuration.routes)
    repository.touch(db, GROUPS.c.due_at.is_not(None))
    repository.touch_firing(db)


def forget(db: sa.Connection, before: float) -> None:
    """Delete alerts resolved, notices given and silences ended before this Unix time."""
    alone(db)
    old = sa.and_(ALERTS.c.state == AlertState.RESOLVED.value, ALERTS.c.resolved_at < before)
    db.execute(sa.delete(MEMBERS).where(MEMBERS.c.alert_id.in_(sa.select(ALERTS.c.id).where(old))))
    db.execute(sa.delete(ALERTS).where(old))
    empty = GROUPS.c.id.not_in(sa.select(MEMBERS.c.group_id))
    db.execute(sa.delete(TOLD).where(TOLD.c.group_id.in_(sa.select(GROUPS.c.id).where(empty))))
    db.execute(sa.delete(GROUPS).where(empty))
    db.execute(sa.delete(NOTICES).where(NOTICES.c.at < before))
    db.execute(sa.delete(SUMMARIES).where(SUMMARIES.c.at < before))
    db.execute(sa.delete(SILENCES).where(SILENCES.c.ends_at < before))


def _expire(db: sa.Connection, now: float, configuration: Configuration) -> None:
    """Resolve what has been quiet for long enough, and let go what healing did not answer for in time."""
    firing = ALERTS.c.state == AlertState.FIRING.value
    changed: list[Alert] = []
    for alert in repository.find_alerts(db, firing, sa.or_(ALERTS.c.expires_at <= now, ALERTS.c.held_until <= now)):
        if alert.expires_at is not None and alert.expires_at <= now:
            changed.append(resolved(alert, "no further news", alert.expires_at))
        else:
            changed.append(replace(alert, held_until=None))
    repository.keep_alerts(db, changed, configuration.routes)


def _decide(db: sa.Connection, groups: Sequence[repository.Group], now: float, configuration: Configuration) -> None:
    ids = [group.id for group in groups]
    silences = repository.silences(db, ending_after=now)
    firing = repository.firing(db)
    mute = muted(firing, silences, configuration.inhibitions, now)
    told = repository.told_of(db, ids)
    members = repository.members_of(db, ids, told, firing)
    limits = Limits(db, now, configuration.notifiers)
    news: dict[str, Mapping[str, Told]] = {}
    rows: list[dict[str, Any]] = []
    for group in groups:
        alerts, before = members[group.id], told[group.id]
        route = configuration.route(group.route)
        decision = decide(alerts, frozenset(mute), before, route, configuration.staff, now)
        known_as = group.dedup_key
        if decision.notices or decision.told != before:
            news[group.id], known_as = _say(db, group, alerts, decision, before, limits, now)
        muting = [mute[alert.id] for alert in alerts if alert.id in mute]
        rows.append(
            {
                **asdict(group),
                "dedup_key": known_as,
                "due_at": _due(decision.due_at, muting, silences),
                "inhibited": any(why.inhibited_by is not None for why in muting),
            }
        )
    repository.keep_told(db, news)
    repository.keep_groups(db, rows)


def _say(
    db: sa.Connection,
    group: repository.Group,
    alerts: Sequence[Alert],
    decision: Decision,
    before: Mapping[str, Told],
    limits: Limits,
    now: float,
) -> tuple[dict[str, Told], str | None]:
    """Say what was decided, or hold it back; what has then been told, and what the group is known by outside."""
    by_id = {alert.id: alert for alert in alerts}
    told = dict(decision.told)
    was_open = any(entry.standing is Standing.OPEN for entry in before.values())
    known_as = group.dedup_key if was_open else None
    for notice in decision.notices:
        about = [by_id[id] for id in notice.alerts if id in by_id]
        known_as = known_as or dedup_key(about[0].key)
        held = notice.action in PAGES and not limits.take(notice.notifier)
        if held and before.get(notice.notifier, Told()).standing is not Standing.OPEN:
            told[notice.notifier] = replace(told[notice.notifier], standing=Standing.SUMMARISED)
        new = NewNotice(notice.notifier, notice.action, group.id, group.route, group.labels, known_as, about)
        add_notice(db, new, now, held=held)
    return told, known_as


def _due(decided: float | None, muting: Sequence[Muted], silences: Sequence[Silence]) -> float | None:
    """When the group is to be decided upon again: also when what mutes its alerts ends by itself."""
    ends = {silence.id: silence.ends_at for silence in silences}
    times = [decided, *(why.held_until for why in muting), *(ends.get(why.silenced_by or "") for why in muting)]
    return min((at for at in times if at is not None), default=None)
