"""The tables of genomes, studies and rollouts. All times are in Unix seconds; the SQL runs on SQLite and PostgreSQL."""

from __future__ import annotations

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    text,
)

from brain.dna.models import CONSUMER
from brain.kit import database_keys, outbox
from brain.kit.database import create_tables
from brain.kit.outbox.reports import reports as waiting
from brain.kit.protocols import HealthReport, ThreatReport
from brain.kit.schema import versioned
from brain.typed import ready


def _move_reports(db: Connection) -> None:
    """Version 2: reports wait in the outbox."""
    waiting.create(db, checkfirst=True)
    if not inspect(db).has_table("dna_reports"):
        return
    for row in db.execute(text("SELECT id, kind, report, created_at FROM dna_reports ORDER BY created_at, id")).all():
        report = msgspec.json.decode(row.report) if isinstance(row.report, str) else row.report
        if row.kind == "threat":
            outbox.put_threat(db, CONSUMER, msgspec.convert(report, ready(ThreatReport)), row.created_at)
        else:
            known = msgspec.convert(report, ready(HealthReport))
            outbox.put_health(db, CONSUMER, known, row.created_at, key=f"dna {row.id}")
    db.execute(text("DROP TABLE dna_reports"))


def _move_keys(db: Connection) -> None:
    """Version 3: the keys of requests are those of all plug-ins."""
    database_keys.KEYS.create(db, checkfirst=True)
    if inspect(db).has_table("dna_keys"):
        db.execute(text("INSERT INTO created_keys SELECT key, content, made, at FROM dna_keys"))
        db.execute(text("DROP TABLE dna_keys"))


metadata: MetaData = versioned("dna", _move_reports, _move_keys)

_BIG = BigInteger().with_variant(Integer, "sqlite")
_AGENT = String(200)
_HASH = String(64)

agents: Table = Table(
    "dna_agents",
    metadata,
    Column("agent_id", _AGENT, primary_key=True),
    Column("versions", Integer, nullable=False),
    Column("current", _BIG),
)
"""One row for each agent, locked by whoever changes its genomes: how many versions there are, and which one runs."""

snapshots: Table = Table(
    "dna_snapshots",
    metadata,
    Column("id", _BIG, primary_key=True),
    Column("agent_id", _AGENT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("dna", JSON, nullable=False),
    Column("traits", JSON, nullable=False),
    Column("genes", JSON, nullable=False),
    Column("genome_hash", _HASH, nullable=False),
    Column("source", String(10), nullable=False),
    Column("parent_snapshot_id", _BIG),
    Column("study_id", String(40)),
    Column("trial", Integer),
    Column("reason", Text, nullable=False),
    Column("by", _AGENT),
    Column("correlation_id", Text),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("agent_id", "version", name="dna_one_version"),
    Index("dna_snapshots_by_hash", "agent_id", "genome_hash"),
    sqlite_autoincrement=True,
)
"""Never changed, and never deleted."""

karma: Table = Table(
    "dna_karma",
    metadata,
    Column("id", _BIG, primary_key=True),
    Column("snapshot_id", _BIG, nullable=False),
    Column("score", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", _AGENT),
    Column("at", Double, nullable=False),
    Index("dna_karma_of", "snapshot_id", "id"),
    sqlite_autoincrement=True,
)
"""Every score that a snapshot was given; the last one counts."""

studies: Table = Table(
    "dna_studies",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("agent_id", _AGENT, nullable=False),
    Column("owner", _AGENT, nullable=False),
    Column("workers", JSON, nullable=False),
    Column("base_snapshot_id", _BIG, nullable=False),
    Column("genes", JSON, nullable=False),
    Column("objective", JSON, nullable=False),
    Column("sampler", String(10), nullable=False),
    Column("seed", _BIG, nullable=False),
    Column("budget", Integer, nullable=False),
    Column("lease_seconds", Double, nullable=False),
    Column("state", String(10), nullable=False),
    Column("steps", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("dna_studies_of", "agent_id", "created_at"),
)
"""`steps` counts the asks and the results, so that every process repeats it in the same order."""

trials: Table = Table(
    "dna_trials",
    metadata,
    Column("study_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("snapshot_id", _BIG, nullable=False),
    Column("genome_hash", _HASH, nullable=False),
    Column("params", JSON, nullable=False),
    Column("state", String(10), nullable=False),
    Column("score", Double),
    Column("scores", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("asked_by", _AGENT, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("asked_step", Integer, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("told_at", Double),
    Column("told_by", _AGENT),
    Column("told_step", Integer),
    Index("dna_trials_by_lease", "state", "lease_until"),
)

rollouts: Table = Table(
    "dna_rollouts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("agent_id", _AGENT, nullable=False),
    Column("snapshot_id", _BIG, nullable=False),
    Column("genome_hash", _HASH, nullable=False),
    Column("from_snapshot_id", _BIG),
    Column("baseline_hash", _HASH),
    Column("share", Double, nullable=False),
    Column("state", String(12), nullable=False),
    Column("watched", Boolean, nullable=False),
    Column("decisions", Integer, nullable=False),
    Column("denials", Integer, nullable=False),
    Column("errors", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Index("dna_rollouts_of", "agent_id", "started_at"),
    Index("dna_rollouts_by_state", "state"),
)
"""Which genome of an agent ran when; of one agent, one is active at most."""

outcomes: Table = Table(
    "dna_outcomes",
    metadata,
    Column("agent_id", _AGENT, primary_key=True),
    Column("genome_hash", _HASH, primary_key=True),
    Column("decisions", _BIG, nullable=False),
    Column("denials", _BIG, nullable=False),
    Column("errors", _BIG, nullable=False),
)

figures: Table = Table(
    "dna_figures",
    metadata,
    Column("agent_id", _AGENT, primary_key=True),
    Column("genome_hash", _HASH, primary_key=True),
    Column("event", String(200), primary_key=True),
    Column("field", String(200), primary_key=True),
    Column("count", _BIG, nullable=False),
    Column("total", Double, nullable=False),
)
"""The numbers in events of agents that are the objective of a study, by genome."""


def make_tables(database: Engine) -> None:
    """Create the tables of the plug-in, keys and outbox, where they are missing."""
    for each in (metadata, database_keys.METADATA, outbox.metadata):
        create_tables(database, each)
