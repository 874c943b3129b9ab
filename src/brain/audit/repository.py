"""The repository: reads the log's name and key, its newest checkpoint, and its entries in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from brain.audit.handover import Keychain
from brain.audit.models import AuditEntry, clip_field
from brain.audit.note import BadNote, Verifier
from brain.audit.stored_bytes import whole
from brain.audit.tables import checkpoints, entries, handovers, identity, metadata, witnessed
from brain.audit.tree import Tampered
from brain.errors import NotFound
from brain.kit.database import create_tables, reachable, reading
from brain.kit.sql import chunks

if TYPE_CHECKING:
    from brain.plugins import PluginContext

PAGE = 2000
"""Entries read at once."""
ENTRY_COLUMNS = (
    entries.c.idx,
    entries.c.leaf_hash,
    entries.c.appended_at,
    entries.c.at,
    entries.c.type,
    entries.c.event_id,
    entries.c.agent,
    entries.c.threat,
    entries.c.correlation_id,
    entries.c.payload,
)
"""The fields of an AuditEntry, in their order; `entry_of` makes one of a row of them."""


def entry_of(row: Any) -> AuditEntry:
    """The entry in a row of ENTRY_COLUMNS."""
    values = [*row[:-1], whole(row.payload, row.event_id, row.type)]
    return AuditEntry(*values)


def make_tables(database: Engine) -> None:
    """Make the log's tables that are missing. Raises Unavailable."""
    create_tables(database, metadata)


def read_keychain(connection: Connection) -> Keychain | None:
    """The name and keys that the database gives for its log; None when there is none. Raises Tampered."""
    row = connection.execute(select(identity.c.origin, identity.c.public_key)).one_or_none()
    if row is None:
        return None
    try:
        first = Verifier(row.origin, row.public_key)
        chain = Keychain.follow(first, notes := handover_notes(connection))
    except BadNote as error:
        raise Tampered(f"a hand-over of its key was altered: {error}") from error
    if len(chain.handovers) != len(notes):
        raise Tampered("the hand-overs of its key do not follow each other")
    return chain


def handover_notes(connection: Connection) -> Sequence[bytes]:
    """The hand-overs of the log's key, in order."""
    return connection.scalars(select(handovers.c.note).order_by(handovers.c.number)).all()


def log_keychain(database: Engine) -> Keychain:
    """The log's name and keys as the database has them. Raises NotFound without a log, Tampered, and Unavailable."""
    make_tables(database)
    with reachable(database), reading(database).connect() as connection:
        found = read_keychain(connection)
    if found is None:
        raise NotFound("audit log: this database has none yet; run `brain serve` or `brain worker audit` to begin it")
    return found


def log_verifier(database: Engine) -> Verifier:
    """The log's name and the public key that signs now. Raises what `log_keychain` does."""
    return log_keychain(database).current


def newest_checkpoint(connection: Connection, locked: bool = False) -> bytes | None:
    """The newest checkpoint as a signed note; None while nothing is logged. `locked`: until the transaction ends."""
    query = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    note: bytes | None = connection.scalar(query.with_for_update() if locked else query)
    return note


def require_checkpoint(connection: Connection) -> bytes:
    """The newest checkpoint as a signed note. Raises NotFound while nothing is logged."""
    note = newest_checkpoint(connection)
    if note is None:
        raise NotFound("audit log: it has no entries yet, so nothing is signed; publish an event, then try again")
    return note


def witnessed_checkpoint(connection: Connection, size: int, signatures: int) -> bytes | None:
    """The newest checkpoint of at least this size that so many witnesses signed; None without one."""
    wide, signed = witnessed.c.size >= size, witnessed.c.signatures >= max(1, signatures)
    note: bytes | None = connection.scalar(
        select(witnessed.c.note).where(wide, signed).order_by(witnessed.c.size.desc()).limit(1)
    )
    return note


def first_since(connection: Connection, at: float) -> int:
    """The index of the first entry that was logged at or after this Unix time: those before it never were later."""
    last = connection.scalar(select(entries.c.idx).order_by(entries.c.idx.desc()).limit(1))
    low, high = 0, 0 if last is None else last + 1
    while low < high:
        middle = (low + high) // 2
        logged = connection.scalar(select(entries.c.appended_at).where(entries.c.idx == middle))
        if logged is not None and logged < at:
            low = middle + 1
        else:
            high = middle
    return low


def entries_in_order(
    database: Engine, conditions: Sequence[ColumnElement[bool]] = (), after: int = -1
) -> Iterator[AuditEntry]:
    """The entries past the index `after` that meet the conditions, the oldest first; each page a short transaction."""
    while True:
        query = select(*ENTRY_COLUMNS).where(entries.c.idx > after, *conditions).order_by(entries.c.idx).limit(PAGE)
        with reading(database).connect() as connection:
            rows: Sequence[Any] = connection.execute(query).all()
        for row in rows:
            yield entry_of(row)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


class AuditEventReader:
    """The events of the log in their order: the audit plug-in provides it as `AuditEvents`."""

    def __init__(self, context: PluginContext) -> None:
        self._database = context.database

    def last_index(self, event_ids: Sequence[str]) -> int | None:
        """The index of the last of these events; None unless all of them are logged. Raises Unavailable."""
        make_tables(self._database)
        found: dict[str, int] = {}
        with reachable(self._database), reading(self._database).connect() as connection:
            for some in chunks([clip_field(event_id) for event_id in event_ids]):
                query = select(entries.c.event_id, func.min(entries.c.idx)).where(entries.c.event_id.in_(some))
                found |= {row[0]: row[1] for row in connection.execute(query.group_by(entries.c.event_id))}
        return max(found.values()) if found and len(found) == len(event_ids) else None

    def between(self, first: int, last: int) -> Iterator[AuditEntry]:
        """The entries from index `first` to `last`, both included, in order. Raises Unavailable."""
        with reachable(self._database):
            yield from entries_in_order(self._database, [entries.c.idx <= last], first - 1)
