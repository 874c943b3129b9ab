"""The tables of the outbox, and what a consumer does to them inside its own transactions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from brain.kit.outbox.news import note_written
from brain.kit.schema import versioned
from brain.kit.sql import insert_into
from brain.redaction import redacted_text
from brain.text import short_key

ERROR_CHARACTERS = 1000
"""How much of an error is kept in a row."""
EVENTS_LABEL = "stream"
"""What metrics call the events that wait; no channel may have this name."""
KEY_CHARACTERS = 500
"""Of a key and a dedup; longer ones have a hash in the place of their end."""


class OutboxState(StrEnum):
    """Where a row stands."""

    WAITING = "waiting"
    """To be sent, or being sent."""
    SENT = "sent"
    """The service has accepted it."""
    REFUSED = "refused"
    """The service will never accept it; kept for a person to look at."""
    CANCELLED = "cancelled"
    """Cancelled by the consumer before it was sent."""


def _move_events(db: Connection) -> None:
    """Version 2: events of changes have a table of their own. They were rows of channels of these names."""
    events.create(db, checkfirst=True)
    consumers = outbox.c.consumer.in_(("alerting", "incidents", "soc"))
    rows = and_(consumers, outbox.c.channel.in_(("stream", "/events")))
    waiting = and_(rows, outbox.c.state == OutboxState.WAITING.value)
    columns = (outbox.c.consumer, outbox.c.created_at, outbox.c.body)
    for consumer, created_at, body in db.execute(select(*columns).where(waiting).order_by(outbox.c.id)).all():
        mine = "alerting" if consumer == "soc" else consumer  # the name of a version before
        db.execute(insert(events), event_row(mine, body["event"].encode(), created_at))
    db.execute(delete(outbox).where(rows))


metadata: MetaData = versioned("outbox", _move_events)
outbox: Table = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("consumer", String(50), nullable=False),
    Column("channel", String(200), nullable=False),  # one outside service, or one account of it
    Column("key", String(KEY_CHARACTERS), nullable=False),  # rows of one key are sent in order
    Column("dedup", String(KEY_CHARACTERS), nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", Double, nullable=False),  # all times in Unix seconds
    Column("due_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("state", String(10), nullable=False, default=OutboxState.WAITING.value),
    Column("last_error", Text),
    Column("answer", JSON),
    Column("sent_at", Double),
    Column("claimed_by", String(40)),
    Column("claimed_until", Double),
    UniqueConstraint("consumer", "dedup", name="outbox_dedup"),
    Index("outbox_by_key", "consumer", "channel", "state", "key", "id"),
    Index("outbox_by_due", "consumer", "state", "channel", "due_at"),
    sqlite_autoincrement=True,
)
"""One row for each message; `create_tables(engine, metadata)` makes the tables before the first `put`."""


events: Table = Table(
    "outbox_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("token", String(32), nullable=False),  # a restored database gives an id again
    Column("consumer", String(50), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("data", LargeBinary, nullable=False),  # the encoded event
    Index("outbox_events_by_consumer", "consumer", "id"),
    sqlite_autoincrement=True,
)
"""One row for each event of a change, in the order of the changes, until it is on the stream."""


def messages_topic(consumer: str) -> str:
    """What `news_of` calls new messages of the consumer."""
    return f"messages {consumer}"


def event_row(consumer: str, data: bytes, now: float) -> dict[str, Any]:
    """A row of `events`."""
    return {"token": uuid.uuid4().hex, "consumer": consumer, "created_at": now, "data": data}


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row as it is handed to `deliver`."""

    id: int
    consumer: str
    channel: str
    key: str
    dedup: str
    body: Mapping[str, Any]
    created_at: float
    due_at: float
    attempts: int
    """Tries begun, this one included; above 1, an earlier one may have reached the service."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel of a consumer at one moment."""

    channel: str
    waiting: int
    refused: int
    sent: int
    oldest_waiting_at: float | None
    """When the oldest row that waits was put, in Unix seconds."""
    last_error: str | None
    """Of the row that failed last among those that wait or were refused."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is put in the outbox: for a `channel` of a `consumer`, in the order of its `key`.

    `dedup` tells messages of the consumer apart; `body` is JSON, and what `deliver` needs, without secrets; `due_at`
    is when it may be sent, in Unix seconds, now when None.
    """

    consumer: str
    channel: str
    key: str
    dedup: str
    body: Mapping[str, Any]
    due_at: float | None = None


def put(db: Connection, message: Message, now: float) -> bool:
    """Add a row, in the caller's transaction; False when the consumer has put one with this `dedup` before.

    Rows of one channel and key are sent in the order of their putting, one after the other: a row that is due later
    holds back those after it (`cancel` it first).
    """
    values = {
        "consumer": message.consumer,
        "channel": message.channel,
        "key": _stored(message.key),
        "dedup": _stored(message.dedup),
        "body": dict(message.body),
        "created_at": now,
        "due_at": now if message.due_at is None else message.due_at,
    }
    insert = insert_into(db, outbox).on_conflict_do_nothing(index_elements=["consumer", "dedup"])
    if db.execute(insert.returning(outbox.c.id), values).first() is None:
        return False
    note_written(db, messages_topic(message.consumer))
    return True


def cancel(db: Connection, *, consumer: str, key: str, now: float, channel: str | None = None) -> int:
    """Take back the rows of a key that wait, in one channel or in all; how many. One being sent now is not stopped."""
    mine = and_(
        outbox.c.consumer == consumer, outbox.c.key == _stored(key), outbox.c.state == OutboxState.WAITING.value
    )
    free = or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now)
    where = and_(mine, free) if channel is None else and_(mine, free, outbox.c.channel == channel)
    changed = db.execute(update(outbox).where(where).values(state=OutboxState.CANCELLED.value, claimed_by=None))
    note_written(db, messages_topic(consumer))  # those behind them are free
    return changed.rowcount


def retry_refused(db: Connection, *, consumer: str, now: float, channel: str | None = None) -> int:
    """Send refused rows again, after somebody has removed the cause; how many there are."""
    where = and_(outbox.c.consumer == consumer, outbox.c.state == OutboxState.REFUSED.value)
    if channel is not None:
        where = and_(where, outbox.c.channel == channel)
    changed = db.execute(update(outbox).where(where).values(state=OutboxState.WAITING.value, due_at=now))
    note_written(db, messages_topic(consumer))
    return changed.rowcount


def prune(db: Connection, *, consumer: str, before: float) -> int:
    """Delete rows that wait no longer and were put before this Unix time; how many. Their `dedup` is free again."""
    where = and_(
        outbox.c.consumer == consumer, outbox.c.state != OutboxState.WAITING.value, outbox.c.created_at < before
    )
    return db.execute(delete(outbox).where(where)).rowcount


def channels(db: Connection, consumer: str) -> list[ChannelState]:
    """What waits, was refused and was sent, channel by channel, by name."""
    rows = db.execute(
        select(outbox.c.channel, outbox.c.state, func.count(), func.min(outbox.c.created_at))
        .where(outbox.c.consumer == consumer)
        .group_by(outbox.c.channel, outbox.c.state)
    ).all()
    counts = {(channel, state): (count, oldest) for channel, state, count, oldest in rows}
    nothing: tuple[int, float | None] = (0, None)
    return [
        ChannelState(
            channel=channel,
            waiting=counts.get((channel, OutboxState.WAITING), nothing)[0],
            refused=counts.get((channel, OutboxState.REFUSED), nothing)[0],
            sent=counts.get((channel, OutboxState.SENT), nothing)[0],
            oldest_waiting_at=counts.get((channel, OutboxState.WAITING), nothing)[1],
            last_error=_last_error(db, consumer, channel),
        )
        for channel in sorted({channel for channel, _ in counts})
    ]


def row_of(found: Row[Any]) -> OutboxRow:
    """A row of the table as `deliver` gets it; its attempt is the one about to begin."""
    return OutboxRow(
        id=found.id,
        consumer=found.consumer,
        channel=found.channel,
        key=found.key,
        dedup=found.dedup,
        body=found.body,
        created_at=found.created_at,
        due_at=found.due_at,
        attempts=found.attempts + 1,
    )


def without_nul(text: str) -> str:
    """The text as PostgreSQL can keep it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def kept_error(text: str) -> str:
    """What is kept of an error: without secrets, and short."""
    return without_nul(redacted_text(text))[:ERROR_CHARACTERS]


def _stored(key: str) -> str:
    return short_key(without_nul(key), KEY_CHARACTERS)


def _last_error(db: Connection, consumer: str, channel: str) -> str | None:
    found = db.execute(
        select(outbox.c.last_error)
        .where(
            outbox.c.consumer == consumer,
            outbox.c.channel == channel,
            outbox.c.state.in_([OutboxState.WAITING.value, OutboxState.REFUSED.value]),
            outbox.c.last_error.is_not(None),
        )
        .order_by(outbox.c.due_at.desc(), outbox.c.id.desc())
        .limit(1)
    ).scalar()
    return None if found is None else str(found)
