"""Alerts, groups and silences in their tables: what is read and written inside one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from brain.alerting.alerts import Alert, AlertState
from brain.alerting.grouping import Mark, Standing, Told
from brain.alerting.matchers import parse_matchers
from brain.alerting.muting import Silence
from brain.alerting.routing import Route, group_id, routes_of
from brain.alerting.tables import ALERTS, GROUPS, MEMBERS, SILENCES, TOLD, upsert
from brain.kit.database import readable_rows

ASAP = 0.0
"""A due time that is always past."""

_FIELDS = tuple(field.name for field in fields(Alert))
_ALERT_COLUMNS = [ALERTS.c[name] for name in _FIELDS]


@dataclass(frozen=True)
class Group:
    """Alerts of one route that are told together."""

    id: str
    route: str
    labels: Mapping[str, str]
    dedup_key: str | None


def find_alerts(db: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Alert]:
    """The alerts that fulfil all conditions, in no order."""
    return readable_rows(db, sa.select(*_ALERT_COLUMNS).where(*where), ALERTS.c.id, _alert)


def find_newest(db: sa.Connection, state: str | None, limit: int) -> list[Alert]:
    """At most `limit` alerts, the latest first."""
    query = sa.select(*_ALERT_COLUMNS).order_by(ALERTS.c.last_at.desc(), ALERTS.c.id).limit(limit)
    if state is not None:
        query = query.where(ALERTS.c.state == state)
    return readable_rows(db, query, ALERTS.c.id, _alert)


def firing(db: sa.Connection) -> list[Alert]:
    """All alerts that fire."""
    return find_alerts(db, ALERTS.c.state == AlertState.FIRING.value)


def current(db: sa.Connection, keys: Collection[str], stories: Collection[str]) -> list[Alert]:
    """The newest alert of each key, and those that fire whose newest trigger is in one of the stories."""
    in_story = sa.and_(ALERTS.c.latest_story.in_(stories), ALERTS.c.state == AlertState.FIRING.value)
    return find_alerts(db, ALERTS.c.current, sa.or_(ALERTS.c.key.in_(keys), in_story))


def keep_alerts(db: sa.Connection, alerts: Sequence[Alert], routes: Sequence[Route]) -> None:
    """Write these alerts, the last of each key as its newest.

    Those that fire join their groups, and all groups of all of them are due.
    """
    if not alerts:
        return
    ids = [alert.id for alert in alerts]
    newest = {alert.key: alert.id for alert in alerts}
    overtaken = sa.and_(ALERTS.c.key.in_(newest), ALERTS.c.id.not_in(ids), ALERTS.c.current)
    db.execute(sa.update(ALERTS).where(overtaken).values(current=False))
    rows = [{**asdict(alert), "state": alert.state.value, "current": newest[alert.key] == alert.id} for alert in alerts]
    upsert(db, ALERTS, rows)
    join_groups(db, alerts, routes)
    theirs = sa.select(MEMBERS.c.group_id).where(MEMBERS.c.alert_id.in_(ids))
    touch(db, sa.or_(GROUPS.c.id.in_(theirs), GROUPS.c.inhibited))


def join_groups(db: sa.Connection, alerts: Iterable[Alert], routes: Sequence[Route]) -> None:
    """Put those that fire into the groups of the routes that take them; they leave none."""
    groups: dict[str, dict[str, Any]] = {}
    members: list[dict[str, str]] = []
    for alert in alerts:
        for route in routes_of(alert, routes) if alert.firing else ():
            labels = route.group_of(alert)
            id = group_id(route.name, labels)
            groups[id] = {"id": id, "route": route.name, "labels": labels, "due_at": ASAP, "inhibited": False}
            members.append({"alert_id": alert.id, "group_id": id})
    upsert(db, GROUPS, list(groups.values()), keep=("route", "labels", "inhibited"))
    upsert(db, MEMBERS, members)


def touch(db: sa.Connection, where: sa.ColumnElement[bool]) -> None:
    """Have these groups decided upon at the next tick."""
    db.execute(sa.update(GROUPS).where(where).values(due_at=ASAP))


def touch_firing(db: sa.Connection) -> None:
    """The same for every group in which something fires: the silences have changed."""
    mine = sa.select(MEMBERS.c.group_id).join(ALERTS, ALERTS.c.id == MEMBERS.c.alert_id)
    touch(db, GROUPS.c.id.in_(mine.where(ALERTS.c.state == AlertState.FIRING.value)))


def due_groups(db: sa.Connection, now: float, limit: int) -> list[Group]:
    """At most `limit` groups that are to be decided upon by now."""
    query = sa.select(GROUPS.c.id, GROUPS.c.route, GROUPS.c.labels, GROUPS.c.dedup_key)
    rows = db.execute(query.where(GROUPS.c.due_at <= now).order_by(GROUPS.c.due_at, GROUPS.c.id).limit(limit))
    return [Group(*row) for row in rows]


def told_of(db: sa.Connection, groups: Collection[str]) -> dict[str, dict[str, Told]]:
    """What each notifier was told of each of the groups."""
    found: dict[str, dict[str, Told]] = {id: {} for id in groups}
    for row in db.execute(sa.select(TOLD).where(TOLD.c.group_id.in_(groups))):
        found[row.group_id][row.notifier] = Told(
            standing=Standing(row.standing),
            marks={id: Mark(mark, at) for id, (mark, at) in row.marks.items()},
            at=row.at,
            acknowledged=row.acknowledged,
            number=row.number,
        )
    return found


def keep_told(db: sa.Connection, told: Mapping[str, Mapping[str, Told]]) -> None:
    """Write what notifiers were told, by group and notifier."""
    rows = [
        {
            "group_id": group,
            "notifier": notifier,
            "standing": entry.standing.value,
            "marks": {id: [mark.mark, mark.at] for id, mark in entry.marks.items()},
            "at": entry.at,
            "acknowledged": entry.acknowledged,
            "number": entry.number,
        }
        for group, entries in told.items()
        for notifier, entry in entries.items()
    ]
    upsert(db, TOLD, rows)


def keep_groups(db: sa.Connection, groups: Sequence[Mapping[str, Any]]) -> None:
    """Write these groups, whole rows."""
    upsert(db, GROUPS, groups)


def members_of(
    db: sa.Connection, groups: Collection[str], told: Mapping[str, Mapping[str, Told]], firing: Sequence[Alert]
) -> dict[str, list[Alert]]:
    """The alerts of each group that fire, or that somebody was told of and not yet of their end.

    `firing` are all that fire; the others are looked up.
    """
    by_id = {alert.id: alert for alert in firing}
    marked = {id: {alert for entry in told[id].values() for alert in entry.marks} for id in groups}
    over = set().union(*marked.values()) - by_id.keys() if marked else set()
    by_id |= {alert.id: alert for alert in find_alerts(db, ALERTS.c.id.in_(over))}
    found: dict[str, list[Alert]] = {id: [] for id in groups}
    query = sa.select(MEMBERS.c.group_id, MEMBERS.c.alert_id).where(MEMBERS.c.group_id.in_(groups))
    for group, id in db.execute(query):
        alert = by_id.get(id)
        if alert is not None and (alert.firing or id in marked[group]):
            found[group].append(alert)
    return found


def silences(db: sa.Connection, ending_after: float | None = None) -> list[Silence]:
    """The silences, the latest made first; with a Unix time, those alone that end after it."""
    query = sa.select(SILENCES).order_by(SILENCES.c.created_at.desc(), SILENCES.c.id)
    if ending_after is not None:
        query = query.where(SILENCES.c.ends_at > ending_after)
    return readable_rows(db, query, SILENCES.c.id, _silence)


def _silence(row: sa.Row[Any]) -> Silence:
    return Silence(
        id=row.id,
        matchers=parse_matchers(row.matchers),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        by=row.by,
        reason=row.reason,
        created_at=row.created_at,
    )


def _alert(row: sa.Row[Any]) -> Alert:
    values: dict[str, Any] = {name: row._mapping[name] for name in _FIELDS}
    return Alert(**{**values, "state": AlertState(values["state"])})
