"""The tables of detections. Times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Double, Engine, Index, LargeBinary, MetaData, String, Table, Text

from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.schema import versioned

CONSUMER = "detections"
"""The name of this plug-in in the outbox of events."""

metadata: MetaData = versioned("detections")

states: Table = Table(
    "detections_states",
    metadata,
    Column("detection", String(32), primary_key=True),
    Column("group_id", String(130), primary_key=True),
    Column("memory", LargeBinary, nullable=False),
    Column("due", Double),
    Column("used_at", Double, nullable=False),
    Index("detections_states_due", "due"),
    Index("detections_states_used", "detection", "used_at"),
    comment="What each detection remembers of each group: JSON, deflated where it is long",
)
hits: Table = Table(
    "detections_hits",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("detection", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("title", Text, nullable=False),
    Column("level", String(20), nullable=False),
    Column("source", String(200), nullable=False),
    Column("body", JSON, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reported", BigInteger, nullable=False),
    Column("threat", String(200)),
    Index("detections_hits_by_time", "opened_at"),
    comment="What was found; `reported` is the count that its threat has",
)
dropped: Table = Table(
    "detections_dropped",
    metadata,
    Column("detection", String(200), primary_key=True),
    Column("reason", String(20), primary_key=True),
    Column("count", BigInteger, nullable=False),
    comment="Matches that a detection could not count, by reason",
)
logs: Table = Table(
    "detections_logs",
    metadata,
    Column("identity", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("path", Text, nullable=False),
    Column("place", JSON, nullable=False),
    Column("read_at", Double, nullable=False),
    comment="How far each log was read",
)


def make_tables(database: Engine) -> None:
    """Create the tables of the plug-in, and the outbox, where they are missing."""
    create_tables(database, metadata)
    create_tables(database, outbox.metadata)
