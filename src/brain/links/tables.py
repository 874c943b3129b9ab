"""The tables of connectors. All times are in Unix seconds; the SQL runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from brain.kit import database_keys, outbox
from brain.kit.database import create_tables
from brain.kit.schema import versioned

NAME = 100
"""Most characters of a connector's name."""

metadata: MetaData = versioned("connectors")

_BIG = BigInteger().with_variant(Integer, "sqlite")

connectors: Table = Table(
    "connectors_connectors",
    metadata,
    Column("name", String(NAME), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("direction", String(10), nullable=False),
    Column("status", String(10), nullable=False),
    Column("status_since", Double, nullable=False),
    Column("error", Text),
    Column("paused", Boolean, nullable=False, default=False),
    Column("paused_by", Text),
    Column("last_at", Double),
    Column("received", _BIG, nullable=False, default=0),
    Column("duplicates", _BIG, nullable=False, default=0),
    Column("refused", _BIG, nullable=False, default=0),
    Column("failed", _BIG, nullable=False, default=0),
    Column("sent", _BIG, nullable=False, default=0),
    Column("cursor", Text),  # JSON, as the tap wrote it
    Column("cursor_at", Double),
    Column("reported_at", Double),
)
"""One row for each connector of the table [connectors]."""

deliveries: Table = Table(
    "connectors_deliveries",
    metadata,
    Column("id", _BIG, primary_key=True),
    Column("connector", String(NAME), nullable=False),
    Column("state", String(10), nullable=False),
    Column("received_at", Double, nullable=False),
    Column("remote", String(100)),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("events", Integer, nullable=False, default=0),
    Column("error", Text),
    Index("connectors_deliveries_by_connector", "connector", "state", "id"),
    Index("connectors_deliveries_by_time", "received_at"),
    sqlite_autoincrement=True,
)
"""What came, as it came, without the headers that hold secrets."""

seen: Table = Table(
    "connectors_seen",
    metadata,
    Column("connector", String(NAME), primary_key=True),
    Column("key", String(64), primary_key=True),  # the SHA-256 of the key
    Column("at", Double, nullable=False),  # when it was seen last
    Index("connectors_seen_by_time", "at"),
)
"""Which items have become events: a row is written in the transaction of its event."""

shapes: Table = Table(
    "connectors_shapes",
    metadata,
    Column("connector", String(NAME), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("items", Integer, nullable=False),
    Column("fields", JSON, nullable=False),
)
"""The types of the fields that came so far, for each name of a thing or stream."""


def make_tables(database: Engine) -> None:
    """Create the tables of connectors, keys and outbox, where they are missing. Blocks."""
    for each in (metadata, database_keys.METADATA, outbox.metadata):
        create_tables(database, each)
