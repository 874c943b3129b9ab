"""The tables of what immune derives. Times are Unix seconds."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Double, Engine, Index, MetaData, String, Table

from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.schema import versioned

metadata: MetaData = versioned("immune")

series: Table = Table(
    "immune_series",
    metadata,
    Column("kind", String(30), primary_key=True),
    Column("module", String(200), primary_key=True),
    Column("agent", String(200), primary_key=True),
    Column("began", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("values_", JSON, nullable=False),
    Column("unusual_at", Double, nullable=False),
    Column("severity", String(10), nullable=False),
    Index("immune_series_step", "step"),
    comment="What is counted of a module or an agent: the open step, and the last episode that was announced",
)
samples: Table = Table(
    "immune_samples",
    metadata,
    Column("kind", String(30), primary_key=True),
    Column("module", String(200), primary_key=True),
    Column("agent", String(200), primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("value", Double, nullable=False),
    comment="The closed steps of the past days that are not 0",
)
heartbeats: Table = Table(
    "immune_heartbeats",
    metadata,
    Column("agent", String(200), primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("interval_set", Double),
    Column("gaps", JSON, nullable=False),
    Column("due", Double),
    Column("failed_at", Double),
    Column("failures", JSON, nullable=False),
    Column("crossed", JSON, nullable=False),
    Index("immune_heartbeats_due", "due"),
    comment="Agents that send heartbeats: the last gaps and failures, and what they have little left of",
)


def make_tables(database: Engine) -> None:
    """Create the tables, and the outbox, where they are missing."""
    create_tables(database, metadata)
    create_tables(database, outbox.metadata)
