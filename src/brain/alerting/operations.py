"""What a person does to alerts and silences, over HTTP or on the command line; each call is one transaction."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from brain import limits
from brain.alerting import repository
from brain.alerting.alerts import Alert, acknowledged, resolved
from brain.alerting.configuration import Configuration
from brain.alerting.matchers import parse_matchers
from brain.alerting.muting import Muted, Silence, muted
from brain.alerting.notices import CONSUMER
from brain.alerting.tables import ALERTS, MEMBERS, METADATA, NOTICES, SILENCES, alone, upsert
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit import outbox
from brain.kit.database import create_tables, reachable, reading

NAME_CHARACTERS = limits.ID
REASON_CHARACTERS = limits.REASON


@dataclass(frozen=True)
class NoticeState:
    """One message about an alert: `state` is waiting, sent, refused, cancelled, held (back) or summarised."""

    notifier: str
    action: str
    state: str
    at: float
    error: str | None


@dataclass(frozen=True)
class Shown:
    """An alert as it stands: why it is muted, and what was said of it, the latest first."""

    alert: Alert
    muted: Muted
    notices: tuple[NoticeState, ...]


class Desk:
    """The alerts and silences of one database. Every method blocks, and raises Unavailable while it does not answer."""

    def __init__(
        self, database: sa.Engine, configuration: Configuration, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._clock = clock
        self._made = False

    def alerts(self, state: str | None = None, limit: int = 100) -> list[Shown]:
        """Alerts, the latest first."""
        with self._reading() as db:
            return self._shown(db, repository.find_newest(db, state, limit))

    def alert(self, id: str) -> Shown:
        """One alert. Raises NotFound."""
        with self._reading() as db:
            return self._shown(db, [_found(db, id)])[0]

    def acknowledge(self, id: str, by: str) -> Alert:
        """Take the alert on: it is neither repeated nor escalated; who was first stays. Raises NotFound, Conflict."""
        _check_text("by", by, NAME_CHARACTERS)
        with self._writing() as db:
            alert = _firing(db, id)
            after = acknowledged(alert, by.strip(), self._clock())
            repository.keep_alerts(db, [after], self._configuration.routes)
            return after

    def close(self, id: str, by: str) -> Alert:
        """Declare the alert over. Raises NotFound, and Conflict when it is already."""
        _check_text("by", by, NAME_CHARACTERS)
        with self._writing() as db:
            after = resolved(_firing(db, id), by.strip(), self._clock())
            repository.keep_alerts(db, [after], self._configuration.routes)
            return after

    def silences(self, *, ended: bool = False) -> list[Silence]:
        """The silences in force and those to come, and the ended ones if wanted; the latest made first."""
        with self._reading() as db:
            return repository.silences(db, None if ended else self._clock())

    def add_silence(
        self, matchers: Sequence[str], by: str, reason: str, ends_at: float, starts_at: float | None = None
    ) -> Silence:
        """Tell nobody of the alerts that all matchers fit, from now (or `starts_at`) on. Raises InvalidInput."""
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
            faults.append("ends_at: must be after starts_at, and not past")
        if faults:
            raise InvalidInput(f"silence refused: {'; '.join(faults)}", faults)
        silence = Silence(
            id=f"sil_{secrets.token_hex(8)}",
            matchers=parse_matchers(matchers),
            starts_at=start,
            ends_at=ends_at,
            by=by.strip(),
            reason=reason.strip(),
            created_at=now,
        )
        row = {
            "id": silence.id,
            "matchers": [str(matcher) for matcher in silence.matchers],
            "starts_at": start,
            "ends_at": ends_at,
            "by": silence.by,
            "reason": silence.reason,
            "created_at": now,
        }
        with self._writing() as db:
            upsert(db, SILENCES, [row])
            repository.touch_firing(db)
        return silence

    def remove_silence(self, id: str) -> Silence:
        """Take the silence away. Raises NotFound."""
        with self._writing() as db:
            silence = next((silence for silence in repository.silences(db) if silence.id == id), None)
            if silence is None:
                raise NotFound(f"no silence has the id {id[:100]!r}; `brain silences list` shows those there are")
            db.execute(sa.delete(SILENCES).where(SILENCES.c.id == id))
            repository.touch_firing(db)
        return silence

    def notifiers(self) -> list[tuple[str, str | None, outbox.ChannelState]]:
        """What each notifier was sent and waits for: name, kind (None: it is not in the settings any more), state."""
        with self._reading() as db:
            states = {state.channel: state for state in outbox.channels(db, CONSUMER)}
        known = {name: notifier.kind for name, notifier in self._configuration.notifiers.items()}
        return [
            (name, known.get(name), states.get(name) or outbox.ChannelState(name, 0, 0, 0, None, None))
            for name in dict.fromkeys([*known, *states])
        ]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with reachable(self._database):
            self._make_tables()
            with reading(self._database).begin() as db:
                yield db

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with reachable(self._database):
            self._make_tables()
            with self._database.begin() as db:
                alone(db)
                yield db

    def _make_tables(self) -> None:
        """At the first use, for the database may be away when the server starts."""
        if not self._made:
            create_tables(self._database, METADATA)
            create_tables(self._database, outbox.metadata)
            self._made = True

    def _shown(self, db: sa.Connection, alerts: Sequence[Alert]) -> list[Shown]:
        now = self._clock()
        mute: dict[str, Muted] = {}
        if any(alert.firing for alert in alerts):
            silences = repository.silences(db, ending_after=now)
            mute = muted(repository.firing(db), silences, self._configuration.inhibitions, now)
        said = _notices(db, [alert.id for alert in alerts])
        return [Shown(alert, mute.get(alert.id, Muted()), tuple(said[alert.id])) for alert in alerts]


def _found(db: sa.Connection, id: str) -> Alert:
    found = repository.find_alerts(db, ALERTS.c.id == id)
    if not found:
        raise NotFound(f"no alert has the id {id[:100]!r}; `brain alerts list` shows those there are")
    return found[0]


def _firing(db: sa.Connection, id: str) -> Alert:
    alert = _found(db, id)
    if not alert.firing:
        raise Conflict(f"alert {alert.id} is resolved since {alert.resolved_at}; only one that fires can be taken on")
    return alert


def _notices(db: sa.Connection, alerts: Sequence[str]) -> dict[str, list[NoticeState]]:
    """What was said of each alert, the latest first."""
    found: dict[str, list[NoticeState]] = {id: [] for id in alerts}
    sent: Any = outbox.outbox
    dedup = sa.literal("notice ") + sa.cast(NOTICES.c.id, sa.String)
    query = (
        sa.select(NOTICES, sent.c.state, sent.c.last_error)
        .outerjoin(sent, sa.and_(sent.c.consumer == CONSUMER, sent.c.dedup == dedup))
        .where(NOTICES.c.group_id.in_(sa.select(MEMBERS.c.group_id).where(MEMBERS.c.alert_id.in_(alerts))))
        .order_by(NOTICES.c.id.desc())
        .limit(100 * max(1, len(alerts)))
    )
    for row in db.execute(query):
        held = "held" if row.summary_id is None else "summarised"
        state = held if row.held else row.state or "sent"  # the outbox forgets what was sent long ago
        for id in row.alerts:
            if id in found:
                found[id].append(NoticeState(row.notifier, row.action, state, row.at, row.last_error))
    return found


def _check_text(field: str, value: str, most: int) -> None:
    if not 1 <= len(value.strip()) <= most:
        raise InvalidInput(f"{field}: needs 1 to {most} characters of text")
