"""Reports to threats and immune: rows in the transaction of the change that they are about, until they are delivered.

A plug-in calls `put_health` or `put_threat` in the transaction. `ReportDelivery`, which each server and worker runs,
hands the rows to the plug-ins that provide HealthReports and ThreatReports. Those know each report by its key, so that
it is in effect once, whatever is killed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from brain import limits
from brain.kit.outbox.news import note_written
from brain.kit.outbox.table import OutboxRow, OutboxState, kept_error, metadata, outbox, row_of, without_nul
from brain.kit.sql import insert_missing
from brain.redaction import redacted, redacted_text
from brain.text import clip_text, short_key
from brain.typed import ready

if TYPE_CHECKING:  # a command that reads needs none of them
    from brain.kit.protocols import HealthReport, ThreatReport

THREATS, HEALTH = "threats", "health"
"""The channels: to whom a row is delivered."""
TOPIC = "reports"
"""What `news_of` calls new rows."""
AT_ONCE = 100
"""Rows read at a time."""

reports: sa.Table = sa.Table(
    "outbox_reports",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("consumer", sa.String(50), nullable=False),  # the plug-in that reports
    sa.Column("channel", sa.String(10), nullable=False),
    sa.Column("key", sa.String(limits.KEY), nullable=False),  # under which it is delivered
    sa.Column("report", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),  # in Unix seconds
    sa.Column("state", sa.String(10), nullable=False),  # waiting or refused
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.UniqueConstraint("channel", "key", name="outbox_reports_key"),
    sa.Index("outbox_reports_by_state", "state", "attempts", "id"),
    sqlite_autoincrement=True,
)
"""One row for each report that is not delivered yet; delivered ones are deleted, refused ones stay for a while."""


@dataclass(frozen=True, slots=True)
class WaitingReport:
    """A row that is to be delivered; `attempts` counts the tries that failed."""

    id: int
    consumer: str
    channel: str
    key: str
    content: Any
    attempts: int

    def report(self) -> HealthReport | ThreatReport:
        """What is to be reported. Raises msgspec.ValidationError for a row that holds no report."""
        from brain.kit.protocols import HealthReport, ThreatReport

        if self.channel == HEALTH:
            return msgspec.convert(self.content, ready(HealthReport))
        return msgspec.convert(self.content, ready(ThreatReport))


def put_health(db: sa.Connection, consumer: str, report: HealthReport, now: float, *, key: str | None = None) -> None:
    """Report the health of something, in the caller's transaction; `now` is in Unix seconds.

    With a `key`, which must be the plug-in's own, it is reported once, however often it is put. Without one each call
    is a report: for changes that are made once themselves.
    """
    module, message = _said(report.module, consumer, limits.ID), clip_text(report.message, limits.TEXT)
    kept = replace(report, module=module, message=message)
    _put(db, consumer, HEALTH, key or f"{consumer} {uuid.uuid4().hex}", kept, now)


def put_threat(db: sa.Connection, consumer: str, report: ThreatReport, now: float) -> None:
    """Report a threat, in the caller's transaction; one of the same type, source and reading counts once."""
    source, description = _said(report.source, consumer, limits.NAME), clip_text(report.description, limits.TEXT)
    kept = replace(report, source=source, description=description)
    _put(db, consumer, THREATS, f"{report.type} {report.source} {report.reading}", kept, now)


def _said(name: str, consumer: str, longest: int) -> str:
    """Whom a report is about, as those who take it demand; a name of blanks, as others may choose one, is none."""
    return clip_text(name if name.strip() else f"{consumer}: nameless", longest)


def _put(
    db: sa.Connection, consumer: str, channel: str, key: str, report: HealthReport | ThreatReport, now: float
) -> None:
    row = {
        "consumer": consumer,
        "channel": channel,
        "key": short_key(without_nul(redacted_text(key)), limits.KEY),
        "report": redacted(msgspec.to_builtins(report)),
        "created_at": now,
        "state": OutboxState.WAITING.value,
        "attempts": 0,
    }
    insert_missing(db, reports, [row])
    note_written(db, TOPIC)


def left_messages(db: sa.Connection, consumer: str, channels: Sequence[str]) -> list[OutboxRow]:
    """For a step of a schema: the messages of these channels that were not sent; none of the channels' stay.

    Before there was a table of reports, they were messages of the outbox.
    """
    reports.create(db, checkfirst=True)
    if not sa.inspect(db).has_table(outbox.name):
        return []
    mine = sa.and_(outbox.c.consumer == consumer, outbox.c.channel.in_(channels))
    left = outbox.c.state.in_((OutboxState.WAITING.value, OutboxState.REFUSED.value))
    found = [row_of(row) for row in db.execute(sa.select(outbox).where(mine, left).order_by(outbox.c.id))]
    db.execute(sa.delete(outbox).where(mine))
    return found


def waiting_reports(db: sa.Connection) -> list[WaitingReport]:
    """The first rows that wait; those that failed come after the others."""
    waiting = reports.c.state == OutboxState.WAITING.value
    query = sa.select(reports).where(waiting).order_by(reports.c.attempts, reports.c.id).limit(AT_ONCE)
    return [
        WaitingReport(row.id, row.consumer, row.channel, row.key, row.report, row.attempts) for row in db.execute(query)
    ]


def delete_reports(db: sa.Connection, ids: Sequence[int]) -> None:
    """Delete rows that are delivered."""
    db.execute(sa.delete(reports).where(reports.c.id.in_(ids)))


def note_failure(db: sa.Connection, id: int, error: str, *, refused: bool) -> None:
    """Note that a try failed; `refused`: there is no other one."""
    values: dict[str, Any] = {"attempts": reports.c.attempts + 1, "last_error": kept_error(error)}
    if refused:
        values["state"] = OutboxState.REFUSED.value
    db.execute(sa.update(reports).where(reports.c.id == id).values(values))


def count_reports(db: sa.Connection) -> dict[tuple[str, str], int]:
    """How many rows there are, by channel and state."""
    query = sa.select(reports.c.channel, reports.c.state, sa.func.count()).group_by(reports.c.channel, reports.c.state)
    return {(channel, state): count for channel, state, count in db.execute(query)}


def prune_refused(db: sa.Connection, before: float) -> int:
    """Delete refused rows that were put before this Unix time; how many."""
    old = sa.and_(reports.c.state == OutboxState.REFUSED.value, reports.c.created_at < before)
    return db.execute(sa.delete(reports).where(old)).rowcount
