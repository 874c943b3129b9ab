"""The tables of telemetry. Times are Unix seconds; ids of traces and spans are bytes, as OpenTelemetry has them."""

from __future__ import annotations

from itertools import groupby

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
)

from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.schema import versioned


def _count_by_transaction(db: Connection) -> None:
    """The second version: a row for each transaction in place of one for each call."""
    if not inspect(db).has_table("telemetry_seen"):
        return
    seen = Table("telemetry_seen", MetaData(), autoload_with=db)
    counted.create(db, checkfirst=True)
    marks.create(db, checkfirst=True)
    rows = db.execute(select(seen.c.at, seen.c.id).order_by(seen.c.at)).all()
    groups = [(at, [row.id for row in of_time]) for at, of_time in groupby(rows, key=lambda row: row.at)]
    if groups:
        batches = [{"number": n, "at": at, "ids": b"".join(ids)} for n, (at, ids) in enumerate(groups, 1)]
        db.execute(insert(counted), batches)
        db.execute(insert(marks), {"name": COUNTED, "at": len(groups)})
    seen.drop(db)


metadata: MetaData = versioned("telemetry", _count_by_transaction)

NAME = 200
"""Most characters of a source, a value's name, an agent, a model."""
COUNTED = "counted"
"""The mark that says how many transactions have counted calls."""

sources: Table = Table(
    "telemetry_sources",
    metadata,
    Column("id", String(NAME), primary_key=True),
    Column("run", String(NAME), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("connection", String(40), nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("connected_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("measured_at", Double, nullable=False),
    Column("expected", Double, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("window_at", Double, nullable=False),
    Column("window", Text, nullable=False),
    Column("crossed", Text, nullable=False),
    comment="Each source with the last sequence number committed; `window` is what metrics_published says next",
)
windows: Table = Table(
    "telemetry_windows",
    metadata,
    Column("source", String(NAME), primary_key=True),
    Column("name", String(NAME), primary_key=True),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Column("sum", Double, nullable=False),
    Column("least", Double, nullable=False),
    Column("most", Double, nullable=False),
    Column("last", Double, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    comment="Samples of sources, by windows of 10 s of their own time",
    sqlite_with_rowid=False,
)
usage: Table = Table(
    "telemetry_usage",
    metadata,
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("agent", String(NAME), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("name", String(NAME), primary_key=True),
    Column("provider", String(NAME), primary_key=True),
    Column("operation", String(NAME), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("nanoseconds", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    comment="Calls of models and tools by windows of their arrival; `cost` in 1e-12 of the currency",
    sqlite_with_rowid=False,
)
counted: Table = Table(
    "telemetry_counted",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("ids", LargeBinary, nullable=False),
    comment="Calls counted lately, by trace id and span id: those of one transaction in a row",
)
waiting: Table = Table(
    "telemetry_waiting",
    metadata,
    Column("id", LargeBinary(24), primary_key=True),
    Column("trace", LargeBinary(16), nullable=False, index=True),
    Column("ancestor", LargeBinary(8), nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("use", LargeBinary, nullable=False),
    comment="Calls whose agent is not known yet: its span ends later",
)
links: Table = Table(
    "telemetry_links",
    metadata,
    Column("trace", LargeBinary(16), primary_key=True),
    Column("span", LargeBinary(8), primary_key=True),
    Column("parent", LargeBinary(8), nullable=False),
    Column("agent", String(NAME), nullable=False),
    Column("at", Double, nullable=False, index=True),
    comment="The spans above calls that wait, for a short time",
    sqlite_with_rowid=False,
)
received: Table = Table(
    "telemetry_received",
    metadata,
    Column("service", String(NAME), primary_key=True),
    Column("signal", String(10), primary_key=True),
    Column("items", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("last_at", Double, nullable=False),
    comment="What came in by OTLP, repeated ones included",
)
marks: Table = Table(
    "telemetry_marks",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("at", BigInteger, nullable=False),
    comment="Up to where usage is announced; how many transactions counted calls",
)


def make_tables(database: Engine) -> None:
    """Create the tables of telemetry, and the outbox, where they are missing. Blocks."""
    create_tables(database, metadata)
    create_tables(database, outbox.metadata)
