"""The alert service: what a person reads and does, over HTTP or on the command line. Each call is one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from brain import limits
from brain.alerting import repository
from brain.alerting.announce import acknowledged, closed, silence_changed
from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.events import SILENCE_ADDED, SILENCE_REMOVED
from brain.alerting.matchers import parse_matchers
from brain.alerting.models import Alert, Notification, acknowledge, resolve
from brain.alerting.muting import NOT_MUTED, MutedBy
from brain.alerting.silences import Silence
from brain.alerting.tables import ALERTS, CONSUMER, MEMBERS, NOTIFICATIONS, lock_tables, make_tables
from brain.alerting.views import AlertView, NotifierView, alert_view
from brain.charter import Event
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit import outbox
from brain.kit.database import reachable, reading
from brain.kit.idempotency import other_content, token_for

NAME_CHARACTERS = limits.ID
REASON_CHARACTERS = limits.REASON


class AlertService:
    """The alerts and silences of one database. Every method blocks, and raises Unavailable when it does not answer.

    A change and its event, a row of the outbox, are one transaction.
    """

    def __init__(
        self,
        database: sa.Engine,
        configuration: AlertingConfiguration,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self._configuration = configuration
        self._clock = clock
        self._made = False

    def alerts(self, state: str | None = None, limit: int = 100, before: str | None = None) -> list[AlertView]:
        """Alerts, the latest first; with `before` those that come after the alert with that id. Raises InvalidInput."""
        with self._reading() as db:
            return self._views(db, repository.find_newest(db, state, limit, before))

    def alert(self, id: str) -> AlertView:
        """One alert. Raises NotFound."""
        with self._reading() as db:
            return self._views(db, [_found(db, id)])[0]

    def acknowledge(self, id: str, by: str) -> Alert:
        """Acknowledge the alert: its page is neither repeated nor escalated; whoever was first stays.

        Raises NotFound, and Conflict when the alert is resolved.
        """
        _check_text("by", by, NAME_CHARACTERS)
        with self._writing() as db:
            alert = _firing(db, id)
            after = acknowledge(alert, by.strip(), self._clock())
            if after != alert:
                repository.save_alerts(db, [after], self._configuration.routes)
                self._announce(db, acknowledged(after))
            return after

    def close(self, id: str, by: str) -> Alert:
        """Resolve the alert by hand. Raises NotFound, and Conflict when it is resolved already."""
        _check_text("by", by, NAME_CHARACTERS)
        with self._writing() as db:
            after = resolve(_firing(db, id), by.strip(), self._clock())
            repository.save_alerts(db, [after], self._configuration.routes)
            self._announce(db, closed(after))
            return after

    def silences(self, *, ended: bool = False) -> list[Silence]:
        """The silences in force and those to come; with `ended` also those that are over. The latest come first."""
        with self._reading() as db:
            return repository.silences(db, None if ended else self._clock())

    def add_silence(
        self,
        matchers: Sequence[str],
        by: str,
        reason: str,
        ends_at: float,
        starts_at: float | None = None,
        *,
        key: str | None = None,
    ) -> Silence:
        """Mute the alerts that all matchers fit, from now (or `starts_at`) until `ends_at`.

        With a `key` the same call again gives back the silence that the first one added. Raises InvalidInput, and
        Conflict when the key added a silence of other content.
        """
        now = self._clock()
        start = now if starts_at is None else starts_at
        faults: list[str] = []
        for check in (
            lambda: _check_text("by", by, NAME_CHARACTERS),
            lambda: _check_text("reason", reason, REASON_CHARACTERS),
            lambda: parse_matchers(matchers, some=True),
        ):
            try:
                check()
            except InvalidInput as error:
                faults += error.faults
        if not max(start, now) < ends_at < limits.MOMENT:
            faults.append("ends_at: must be after starts_at and after now")
        if faults:
            raise InvalidInput(f"the silence was not added: {'; '.join(faults)}", faults)
        silence = Silence(
            id=f"sil_{token_for('silence', key)}",
            matchers=parse_matchers(matchers),
            starts_at=start,
            ends_at=ends_at,
            by=by.strip(),
            reason=reason.strip(),
            created_at=now,
        )
        with self._writing() as db:
            if key is not None and (made := repository.find_silence(db, silence.id)) is not None:
                if not _same_request(made, silence, starts_at):
                    raise other_content(f"silence {made.id}")
                return made
            repository.save_silence(db, silence)
            repository.touch_firing(db)
            self._announce(db, silence_changed(SILENCE_ADDED, silence))
        return silence

    def remove_silence(self, id: str) -> Silence:
        """Remove the silence. Raises NotFound."""
        with self._writing() as db:
            silence = next((silence for silence in repository.silences(db) if silence.id == id), None)
            if silence is None:
                raise NotFound(f"no silence has the id {id[:100]!r}; `brain silences list` lists the ids")
            repository.delete_silence(db, id)
            repository.touch_firing(db)
            self._announce(db, silence_changed(SILENCE_REMOVED, silence))
        return silence

    def notifiers(self) -> list[NotifierView]:
        """Every notifier of the settings, and those that are gone from them and still have messages."""
        with self._reading() as db:
            states = {state.channel: state for state in outbox.channels(db, CONSUMER)}
        known = {name: table.kind for name, table in self._configuration.notifiers.items()}
        return [_notifier(name, known.get(name), states.get(name)) for name in dict.fromkeys([*known, *states])]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with reachable(self.database):
            self._make_tables()
            with reading(self.database).begin() as db:
                yield db

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with reachable(self.database):
            self._make_tables()
            with self.database.begin() as db:
                lock_tables(db)
                yield db

    def _announce(self, db: sa.Connection, event: Event) -> None:
        outbox.put_event(db, CONSUMER, event, self._clock())

    def _make_tables(self) -> None:
        """At the first use, since the database may be away when the server starts."""
        if not self._made:
            make_tables(self.database)
            self._made = True

    def _views(self, db: sa.Connection, alerts: Sequence[Alert]) -> list[AlertView]:
        now = self._clock()
        mutes: dict[str, MutedBy] = {}
        if here := [alert for alert in alerts if alert.firing]:
            mutes = repository.muted_now(db, here, self._configuration.inhibitions, now)
        sent, refusing = _notifications(db, [alert.id for alert in alerts]), repository.refused_by(db)
        return [
            alert_view(
                alert,
                mutes.get(alert.id, NOT_MUTED),
                sent[alert.id],
                refusing.get(alert.id, ()) if alert.firing else (),
            )
            for alert in alerts
        ]


def _same_request(made: Silence, asked: Silence, starts_at: float | None) -> bool:
    """Whether both were asked for alike; without `starts_at` each began when it was asked for."""
    start = made.starts_at if starts_at is None else asked.starts_at
    return made == replace(asked, starts_at=start, created_at=made.created_at)


def _notifier(name: str, kind: str | None, state: outbox.ChannelState | None) -> NotifierView:
    if state is None:
        return NotifierView(name=name, kind=kind)
    return NotifierView(
        name=name,
        kind=kind,
        waiting=state.waiting,
        refused=state.refused,
        sent=state.sent,
        oldest_waiting_at=state.oldest_waiting_at,
        last_error=state.last_error,
    )


def _found(db: sa.Connection, id: str) -> Alert:
    found = repository.find_alerts(db, ALERTS.c.id == id)
    if not found:
        raise NotFound(f"no alert has the id {id[:100]!r}; `brain alerts list` lists the ids")
    return found[0]


def _firing(db: sa.Connection, id: str) -> Alert:
    alert = _found(db, id)
    if not alert.firing:
        raise Conflict(
            f"alert {alert.id} is resolved ({alert.resolved_by}); only a firing alert can be acknowledged or closed"
        )
    return alert


def _notifications(db: sa.Connection, alerts: Sequence[str]) -> dict[str, list[Notification]]:
    """The notifications about each alert, the latest first."""
    found: dict[str, list[Notification]] = {id: [] for id in alerts}
    sent: Any = outbox.outbox
    dedup = sa.literal("notice ") + sa.cast(NOTIFICATIONS.c.id, sa.String)
    query = (
        sa.select(NOTIFICATIONS, sent.c.state, sent.c.last_error)
        .outerjoin(sent, sa.and_(sent.c.consumer == CONSUMER, sent.c.dedup == dedup))
        .where(NOTIFICATIONS.c.group_id.in_(sa.select(MEMBERS.c.group_id).where(MEMBERS.c.alert_id.in_(alerts))))
        .order_by(NOTIFICATIONS.c.id.desc())
        .limit(100 * max(1, len(alerts)))
    )
    for row in db.execute(query):
        held = "held" if row.summary_id is None else "summarised"
        state = held if row.held else row.state or "sent"  # the outbox deletes sent rows after a while
        made = Notification(notifier=row.notifier, action=row.action, state=state, at=row.at, error=row.last_error)
        for id in found.keys() & row.alerts:
            found[id].append(made)
    return found


def _check_text(field: str, value: str, most: int) -> None:
    if not 1 <= len(value.strip()) <= most:
        raise InvalidInput(f"{field}: must have 1 to {most} characters")
