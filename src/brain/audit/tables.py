"""The audit log's tables: they run on SQLite and PostgreSQL alike."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    select,
)

from brain.audit.models import cause_of
from brain.audit.stored_bytes import whole
from brain.charter import Event
from brain.errors import EnvelopeError
from brain.kit.schema import versioned
from brain.kit.sql import insert_missing


def _add_causes(db: Connection) -> None:
    """Version 2: which event caused which, also of the entries that are there."""
    causes.create(db, checkfirst=True)
    after = -1
    while True:
        columns = (entries.c.idx, entries.c.event_id, entries.c.type, entries.c.payload)
        page = db.execute(select(*columns).where(entries.c.idx > after).order_by(entries.c.idx).limit(_PAGE)).all()
        wanted = [row for row in page if row.payload and b'"causation_id"' in row.payload]
        found = [(row.event_id, _cause(whole(row.payload, row.event_id, row.type))) for row in wanted]
        insert_missing(db, causes, [{"event_id": id, "cause": cause} for id, cause in found if id and cause])
        if len(page) < _PAGE:
            return
        after = page[-1].idx


def _cause(data: bytes) -> str | None:
    try:
        event = Event.decode(data)
    except EnvelopeError:
        return None
    return cause_of(event)


def _add_types(db: Connection) -> None:
    """Version 3: which types each block of entries has."""
    types.create(db, checkfirst=True)
    db.execute(delete(types))
    found = select(entries.c.type, entries.c.idx.op("/")(BLOCK)).distinct()
    db.execute(insert(types).from_select(["type", "block"], found))


def _add_witnesses(db: Connection) -> None:
    """Version 4: hand-overs of the log's key, and what witnesses signed."""
    for table in (handovers, witnesses, witnessed):
        table.create(db, checkfirst=True)


def _cut_beginnings(db: Connection) -> None:
    """Version 5: payloads may lack their beginning (`brain.audit.stored_bytes`), which earlier versions cannot read.

    The rows that are there stay as they are.
    """


def _add_erasures(db: Connection) -> None:
    """Version 6: certificates of erasures, and seals of entries whose search fields were erased.

    Earlier versions take such an entry for one that was tampered with.
    """
    erasures.create(db, checkfirst=True)


metadata: MetaData = versioned("audit", _add_causes, _add_types, _add_witnesses, _cut_beginnings, _add_erasures)
BLOCK = 256
"""Entries of one block."""
_PAGE = 5000

# In SQLite an INTEGER PRIMARY KEY is the row's own number: no second index.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

identity: Table = Table(
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("origin", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
)
"""The log's name and first key: one row, made with the log."""

handovers: Table = Table(
    "audit_handovers",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
)
"""The hand-overs of the log from key to key, numbered from 0."""

witnesses: Table = Table(
    "audit_witnesses",
    metadata,
    Column("key", Text, primary_key=True),
    Column("size", _NUMBER, nullable=False),
    Column("signed_at", Double),
    Column("failures", BigInteger, nullable=False, default=0),
    Column("failure", Text),
)
"""Each witness that was asked, by its public key: the size that it signed last and when (Unix seconds), how often it
could not be asked or refused, and what it said last, null since it signed."""

witnessed: Table = Table(
    "audit_witnessed",
    metadata,
    Column("size", _NUMBER, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
    Column("signatures", Integer, nullable=False),
)
"""The newest checkpoints that witnesses signed, with their signatures and how many of them there are."""

entries: Table = Table(
    "audit_entries",
    metadata,
    Column("idx", _NUMBER, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Column("appended_at", Double, nullable=False),
    Column("at", Double, nullable=False),
    Column("type", Text, nullable=False),
    Column("event_id", Text),
    Column("agent", Text),
    Column("threat", Text),
    Column("correlation_id", Text),
    Column("payload", LargeBinary),
    Column("deletion", LargeBinary),
)
"""One row for each event, numbered from 0. `payload` holds the exact bytes, without the beginning that other columns
have (`brain.audit.stored_bytes`), until they are deleted: then `deletion` is the seal of the deletion. The leaf hash
covers the whole bytes, and the seal covers everything else."""

_by_time = Index("audit_entries_at", entries.c.at)
for _name in ("event_id", "agent", "threat", "correlation_id"):
    _given = entries.c[_name].is_not(None)
    Index(f"audit_entries_{_name}", entries.c[_name], sqlite_where=_given)

types: Table = Table(
    "audit_types",
    metadata,
    Column("type", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""The blocks of entries that have each type: a search by type passes over the others. Smaller than an index."""

causes: Table = Table(
    "audit_causes",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("cause", Text, nullable=False),
    Index("audit_causes_cause", "cause"),
)
"""The event that caused each event, where it names one: a legal hold of a correlation id holds what hangs on that."""

nodes: Table = Table(
    "audit_nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", _NUMBER, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Roots of complete subtrees, at every eighth level only; the leaves' hashes are in the entries."""

checkpoints: Table = Table(
    "audit_checkpoints",
    metadata,
    Column("size", _NUMBER, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
)
"""The newest signed checkpoints, by the size of their tree."""

holds: Table = Table(
    "audit_holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pattern", Text),
    Column("correlation_id", Text),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("made_at", Double, nullable=False),
)
"""Legal holds: entries that match one are not deleted, whatever their age."""

erasures: Table = Table(
    "audit_erasures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("began_at", Double, nullable=False),
    Column("counts", Text, nullable=False),
    Column("note", LargeBinary),
)
"""Each erasure by the mark of its subject: what was erased so far, as JSON, and its certificate once it is complete."""
