"""Alerts, groups, silences and the notification log in their tables, read and written inside one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from brain.alerting.inhibition import Inhibition, Labels
from brain.alerting.matchers import parse_matchers
from brain.alerting.models import OWN_LABELS, Alert, AlertState
from brain.alerting.muting import MutedBy, muted
from brain.alerting.notification_log import AlertFingerprint, NotificationLogEntry, NotificationState, Refusal
from brain.alerting.recipients import refused_addresses
from brain.alerting.routing import Route, group_id, routes_of
from brain.alerting.silences import Silence
from brain.alerting.tables import ALERTS, GROUPS, MEMBERS, NOTIFICATION_LOG, SILENCES, VERSIONS
from brain.charter import Severity
from brain.errors import InvalidInput
from brain.kit.database import readable_rows
from brain.kit.sql import chunks, upsert
from brain.text import clip_text

_AT_ONCE = 0.0  # a due time that is always past
_LISTED = 500
"""Values of a label that a query lists at most; of more, all rows are read."""

_FIELDS = tuple(field.name for field in fields(Alert))
_ALERT_COLUMNS = [ALERTS.c[name] for name in _FIELDS]


@dataclass(frozen=True)
class StoredGroup:
    """The alerts of one route that share the labels of `group_by`."""

    id: str
    route: str
    labels: Mapping[str, str]
    dedup_key: str | None


def find_alerts(db: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Alert]:
    """The alerts that fulfil all conditions, in no order."""
    return readable_rows(db, sa.select(*_ALERT_COLUMNS).where(*where), ALERTS.c.id, _alert)


def find_newest(db: sa.Connection, state: str | None, limit: int, before: str | None = None) -> list[Alert]:
    """At most `limit` alerts, the latest first; those that come after the alert with the id `before`.

    Raises InvalidInput when there is no such alert.
    """
    order = (ALERTS.c.last_at, ALERTS.c.id)
    query = sa.select(*_ALERT_COLUMNS).order_by(*(column.desc() for column in order)).limit(limit)
    if state is not None:
        query = query.where(ALERTS.c.state == state)
    if before is not None:
        last_at = db.execute(sa.select(ALERTS.c.last_at).where(ALERTS.c.id == clip_text(before))).scalar_one_or_none()
        if last_at is None:
            raise InvalidInput(f"before: there is no alert {before[:100]!r}; give the id of the last one that you have")
        query = query.where(sa.tuple_(*order) < sa.tuple_(sa.literal(last_at), sa.literal(before)))
    return readable_rows(db, query, ALERTS.c.id, _alert)


def firing(db: sa.Connection) -> list[Alert]:
    """All alerts that fire."""
    return find_alerts(db, ALERTS.c.state == AlertState.FIRING.value)


def muted_now(
    db: sa.Connection, alerts: Sequence[Alert], inhibitions: Sequence[Inhibition], now: float
) -> dict[str, MutedBy]:
    """What mutes each of these alerts, which fire, by the alert's id; of the others only those that matter are read."""
    return muted(alerts, silences(db, ending_after=now), inhibitions, now, _inhibitors(db, alerts, inhibitions))


def _inhibitors(db: sa.Connection, alerts: Sequence[Alert], inhibitions: Sequence[Inhibition]) -> dict[str, Labels]:
    """The labels of all firing alerts that may inhibit one of these, or one that may, by id; with these.

    From the last inhibition to the first: whether a source counts depends on those before its own.
    """
    found: dict[str, Labels] = {alert.id: alert.all_labels for alert in alerts}
    for inhibition in reversed(inhibitions):
        if asked_for := inhibition.asked_for(found.values()):
            found |= _sources(db, inhibition, asked_for)
    return found


def _sources(db: sa.Connection, inhibition: Inhibition, asked_for: set[tuple[str, ...]]) -> dict[str, Labels]:
    """The labels of the firing alerts that inhibit those with these values of `equal`, by id."""
    where = [ALERTS.c.state == AlertState.FIRING.value]
    for matcher in inhibition.source:
        if matcher.operator == "=" and matcher.label in OWN_LABELS:
            where.append(ALERTS.c[matcher.label] == matcher.value)
    for place, label in enumerate(inhibition.equal):
        if label in OWN_LABELS and len(asked_for) <= _LISTED:
            where.append(ALERTS.c[label].in_({values[place] for values in asked_for}))
    query = sa.select(ALERTS.c.id, ALERTS.c.labels, *(ALERTS.c[name] for name in OWN_LABELS)).where(*where)
    found = readable_rows(db, query, ALERTS.c.id, _labels)
    return {id: labels for id, labels in found if inhibition.is_source(labels, asked_for)}


def current(db: sa.Connection, keys: Collection[str], correlation_ids: Collection[str]) -> list[Alert]:
    """The newest alert of each key, and the firing alerts whose newest trigger has one of the correlation ids."""
    related = sa.and_(ALERTS.c.latest_correlation_id.in_(correlation_ids), ALERTS.c.state == AlertState.FIRING.value)
    return find_alerts(db, ALERTS.c.current, sa.or_(ALERTS.c.key.in_(keys), related))


def latest_versions(db: sa.Connection, keys: Collection[str]) -> dict[str, int]:
    """The latest change that was applied of each of these things, where one was."""
    found: dict[str, int] = {}
    for some in chunks([*keys]):
        found |= {row.key: row.version for row in db.execute(sa.select(VERSIONS).where(VERSIONS.c.key.in_(some)))}
    return found


def save_versions(db: sa.Connection, versions: Mapping[str, int], at: float) -> None:
    """Record these changes, by the things' keys, as applied at this Unix time."""
    upsert(db, VERSIONS, [{"key": key, "version": version, "at": at} for key, version in versions.items()])


def save_alerts(db: sa.Connection, alerts: Sequence[Alert], routes: Sequence[Route]) -> None:
    """Write these alerts, the last of each key as its newest.

    The firing ones join their groups. Every group of every one of them becomes due.
    """
    if not alerts:
        return
    ids = [alert.id for alert in alerts]
    newest = {alert.key: alert.id for alert in alerts}
    overtaken = sa.and_(ALERTS.c.key.in_(newest), ALERTS.c.id.not_in(ids), ALERTS.c.current)
    db.execute(sa.update(ALERTS).where(overtaken).values(current=False))
    rows = [{**_row(alert), "current": newest[alert.key] == alert.id} for alert in alerts]
    upsert(db, ALERTS, rows)
    join_groups(db, alerts, routes)
    theirs = sa.select(MEMBERS.c.group_id).where(MEMBERS.c.alert_id.in_(ids))
    touch(db, sa.or_(GROUPS.c.id.in_(theirs), GROUPS.c.inhibited))


def join_groups(db: sa.Connection, alerts: Iterable[Alert], routes: Sequence[Route]) -> None:
    """Put the firing alerts into the groups of the routes that match them. No alert leaves a group."""
    groups: dict[str, dict[str, Any]] = {}
    members: list[dict[str, str]] = []
    for alert in alerts:
        for route in routes_of(alert, routes) if alert.firing else ():
            labels = route.group_labels(alert)
            id = group_id(route.name, labels)
            groups[id] = {"id": id, "route": route.name, "labels": labels, "due_at": _AT_ONCE, "inhibited": False}
            members.append({"alert_id": alert.id, "group_id": id})
    upsert(db, GROUPS, list(groups.values()), keep=("route", "labels", "inhibited"))
    upsert(db, MEMBERS, members)


def touch(db: sa.Connection, where: sa.ColumnElement[bool]) -> None:
    """Make these groups due, for the next evaluation."""
    db.execute(sa.update(GROUPS).where(where).values(due_at=_AT_ONCE))


def touch_firing(db: sa.Connection) -> None:
    """Make every group due in which something fires."""
    mine = sa.select(MEMBERS.c.group_id).join(ALERTS, ALERTS.c.id == MEMBERS.c.alert_id)
    touch(db, GROUPS.c.id.in_(mine.where(ALERTS.c.state == AlertState.FIRING.value)))


def due_groups(db: sa.Connection, now: float, limit: int) -> list[StoredGroup]:
    """At most `limit` groups that are due by now."""
    query = sa.select(GROUPS.c.id, GROUPS.c.route, GROUPS.c.labels, GROUPS.c.dedup_key)
    rows = db.execute(query.where(GROUPS.c.due_at <= now).order_by(GROUPS.c.due_at, GROUPS.c.id).limit(limit))
    return [StoredGroup(*row) for row in rows]


def log_entries(db: sa.Connection, groups: Collection[str]) -> dict[str, dict[str, NotificationLogEntry]]:
    """The notification log of each of the groups, by notifier."""
    found: dict[str, dict[str, NotificationLogEntry]] = {id: {} for id in groups}
    for row in db.execute(sa.select(NOTIFICATION_LOG).where(NOTIFICATION_LOG.c.group_id.in_(groups))):
        found[row.group_id][row.notifier] = NotificationLogEntry(
            state=NotificationState(row.state),
            fingerprints={id: AlertFingerprint(*known) for id, known in row.fingerprints.items()},
            at=row.at,
            acknowledged=row.acknowledged,
            number=row.number,
            paged=row.paged,
            settled=row.settled,
            accepted_at=row.accepted_at,
            refusal=None if row.refusal is None else Refusal(**row.refusal),
        )
    return found


def refused_by(db: sa.Connection) -> dict[str, list[str]]:
    """The notifiers, and addresses of them, whose service refuses an alert's page now, by the alert's id."""
    found: dict[str, list[str]] = {}
    refusing = NOTIFICATION_LOG.c.refusal.is_not(sa.null())
    for row in db.execute(sa.select(NOTIFICATION_LOG).where(refusing).order_by(NOTIFICATION_LOG.c.notifier)):
        for id, known in row.fingerprints.items():
            if AlertFingerprint(*known).refused and row.notifier not in found.setdefault(id, []):
                found[id].append(row.notifier)
    for channel, address, ids in refused_addresses(db):
        for id in ids:
            found.setdefault(id, []).append(f"{channel}: {address}")
    return {id: names for id, names in found.items() if names}


def save_log(db: sa.Connection, log: Mapping[str, Mapping[str, NotificationLogEntry]]) -> None:
    """Write these entries of the notification log, by group and notifier."""
    rows = [
        {
            "group_id": group,
            "notifier": notifier,
            "state": entry.state.value,
            "fingerprints": {id: [known.value, known.at, known.refused] for id, known in entry.fingerprints.items()},
            "at": entry.at,
            "acknowledged": entry.acknowledged,
            "number": entry.number,
            "paged": entry.paged,
            "settled": entry.settled,
            "accepted_at": entry.accepted_at,
            "refusal": None if entry.refusal is None else asdict(entry.refusal),
        }
        for group, entries in log.items()
        for notifier, entry in entries.items()
    ]
    upsert(db, NOTIFICATION_LOG, rows)


def save_groups(db: sa.Connection, groups: Sequence[Mapping[str, Any]]) -> None:
    """Write these groups, whole rows."""
    upsert(db, GROUPS, groups)


def members_of(
    db: sa.Connection,
    groups: Collection[str],
    log: Mapping[str, Mapping[str, NotificationLogEntry]],
    firing: Sequence[Alert],
) -> dict[str, list[Alert]]:
    """The alerts of each group that fire, or whose resolution some notifier has not been sent.

    `firing` are all alerts that fire; the others are looked up.
    """
    by_id = {alert.id: alert for alert in firing}
    notified = {id: {alert for entry in log[id].values() for alert in entry.fingerprints} for id in groups}
    resolved = set().union(*notified.values()) - by_id.keys() if notified else set()
    by_id |= {alert.id: alert for alert in find_alerts(db, ALERTS.c.id.in_(resolved))}
    found: dict[str, list[Alert]] = {id: [] for id in groups}
    query = sa.select(MEMBERS.c.group_id, MEMBERS.c.alert_id).where(MEMBERS.c.group_id.in_(groups))
    for group, id in db.execute(query):
        alert = by_id.get(id)
        if alert is not None and (alert.firing or id in notified[group]):
            found[group].append(alert)
    return found


def silences(db: sa.Connection, ending_after: float | None = None) -> list[Silence]:
    """The silences, the latest first; with a Unix time, only those that end after it."""
    query = sa.select(SILENCES).order_by(SILENCES.c.created_at.desc(), SILENCES.c.id)
    if ending_after is not None:
        query = query.where(SILENCES.c.ends_at > ending_after)
    return readable_rows(db, query, SILENCES.c.id, _silence)


def find_silence(db: sa.Connection, id: str) -> Silence | None:
    """The silence with this id, or None."""
    row = db.execute(sa.select(SILENCES).where(SILENCES.c.id == id)).first()
    return None if row is None else _silence(row)


def save_silence(db: sa.Connection, silence: Silence) -> None:
    """Write the silence."""
    values = {field.name: getattr(silence, field.name) for field in fields(Silence)}
    upsert(db, SILENCES, [{**values, "matchers": [*map(str, silence.matchers)]}])


def delete_silence(db: sa.Connection, id: str) -> None:
    """Delete the silence."""
    db.execute(sa.delete(SILENCES).where(SILENCES.c.id == id))


def _silence(row: sa.Row[Any]) -> Silence:
    return Silence(**{**row._mapping, "matchers": parse_matchers(row.matchers)})


def _alert(row: sa.Row[Any]) -> Alert:
    values: dict[str, Any] = {name: row._mapping[name] for name in _FIELDS}
    return Alert(
        **{
            **values,
            "state": AlertState(values["state"]),
            "severity": Severity(values["severity"]),
            "resolved_by": values["resolved_by"] or None,
        }
    )


def _labels(row: sa.Row[Any]) -> tuple[str, Labels]:
    """The id of an alert, and its `all_labels`."""
    return row.id, {**row.labels, **{name: row._mapping[name] for name in OWN_LABELS}}


def _row(alert: Alert) -> dict[str, Any]:
    return {
        **{name: getattr(alert, name) for name in _FIELDS},
        "state": alert.state.value,
        "severity": alert.severity.value,
        "resolved_by": alert.resolved_by or "",
    }
