"""The tables of incidents. All times are in Unix seconds; the SQL runs on SQLite and on PostgreSQL.

Some columns keep the names of the first version: `key=` gives the name that the code uses, so that tables need no
migration.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from brain.kit import database_keys
from brain.kit.database import create_tables
from brain.kit.outbox import metadata as outbox_metadata
from brain.kit.schema import add_column, versioned


def _add_version(db: Connection) -> None:
    """Version 2: the events of a threat are ordered by its version."""
    add_column(db, threats.c.version)


def _add_ends(db: Connection) -> None:
    """Version 3: a mirror may end, tickets have a severity, and connections are lost and found again."""
    add_column(db, mirrors.c.ended)
    add_column(db, mirrors.c.severity)
    connections.create(db, checkfirst=True)


def _order_by_time(db: Connection) -> None:
    """Version 4: pages of the list are read from an index, also where many were opened at the same time."""
    db.exec_driver_sql("DROP INDEX IF EXISTS incidents_by_state")
    for index in (_by_time, _in_state):
        index.create(db, checkfirst=True)


def _add_attempt(db: Connection) -> None:
    """Version 5: a state that was tried is remembered until the ticket has shown what came of it."""
    add_column(db, mirrors.c.tried)
    add_column(db, mirrors.c.tried_at)


def _refer_to_decisions(db: Connection) -> None:
    """Version 6: decisions are references into the stream; those of the last minutes are not taken over."""
    db.exec_driver_sql("DROP TABLE IF EXISTS incidents_recent")
    decided.create(db, checkfirst=True)


metadata: MetaData = versioned("incidents", _add_version, _add_ends, _order_by_time, _add_attempt, _refer_to_decisions)

_BIG = BigInteger().with_variant(Integer, "sqlite")

incidents: Table = Table(
    "incidents_incidents",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("story", Text, key="correlation_id", nullable=False),
    Column("episode", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("severity", String(10), nullable=False),
    Column("state", String(12), nullable=False),
    Column("owner", Text),
    Column("opened_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("resolved_at", Double),
    Column("previous", String(20)),
    Column("version", Integer, nullable=False),
    UniqueConstraint("correlation_id", "episode", name="incidents_one_per_episode"),
)
_by_time = Index("incidents_by_time", incidents.c.opened_at, incidents.c.number)
_in_state = Index("incidents_in_state", incidents.c.state, incidents.c.opened_at, incidents.c.number)

numbers: Table = Table(
    "incidents_numbers",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("last", Integer, nullable=False),
)
"""The last number given; one row, so that two writers never give the same."""

timeline: Table = Table(
    "incidents_timeline",
    metadata,
    Column("id", _BIG, primary_key=True),
    Column("incident", String(20), nullable=False),
    Column("at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("text", Text, nullable=False),
    Column("by", Text),
    Column("event_id", Text),
    Column("likeness", Text, key="dedup_key", nullable=False),  # entries of one key within a minute are one entry
    Column("count", Integer, nullable=False),
    Index("incidents_timeline_order", "incident", "id"),
    Index("incidents_timeline_likeness", "incident", "dedup_key", "last_at"),
    sqlite_autoincrement=True,
)

links: Table = Table(
    "incidents_events",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("incident", String(20), nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("incidents_events_of", "incident", "at"),
)
"""The events of an incident, by their ids; at most MOST_EVENTS."""

threats: Table = Table(
    "incidents_threats",
    metadata,
    Column("threat", Text, primary_key=True),
    Column("story", Text, key="correlation_id", nullable=False),
    Column("type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_at", Double, nullable=False),
    Column("detected_at", Double, nullable=False),
    Column("version", _BIG, nullable=False, server_default="0"),  # 0: no event of it had one
    Index("incidents_threats_of", "correlation_id"),
)
"""Every threat as the stream reported it last, also those without an incident."""

health: Table = Table(
    "incidents_health",
    metadata,
    Column("story", Text, key="correlation_id", primary_key=True),
    Column("number", _BIG, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("module", Text, nullable=False),
    Column("state", String(10), nullable=False),  # open, healed, failed, dismissed
    Column("at", Double, nullable=False),
)
"""The critical health events by correlation id and number, and the state of each."""

decided: Table = Table(
    "incidents_decided",
    metadata,
    Column("number", _BIG, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("positions", LargeBinary, nullable=False),
    Column("agents", LargeBinary, nullable=False),
    Column("stories", LargeBinary, key="correlation_ids", nullable=False),
    Index("incidents_decided_until", "until"),
)
"""Where in the stream the policy decisions of the last minutes are, a row for those of one batch.

`number` counts them up to its last one; `at` and `until` are the earliest and the latest of their times.
`evidence_page` has the form of the rest."""

windows: Table = Table(
    "incidents_windows",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("at", Double, primary_key=True),
    Column("incident", String(20), primary_key=True),
)
"""Whose decisions before which moment an incident shows: one that the stream gets later is added."""

decisions: Table = Table(
    "incidents_decisions",
    metadata,
    Column("incident", String(20), primary_key=True),
    Column("event_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("agent", "action", "resource", "effect")),
    Column("rule_id", Text),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
)
"""The policy decisions that explain each incident, copied because the stream deletes them in time."""

mirrors: Table = Table(
    "incidents_mirrors",
    metadata,
    Column("incident", String(20), primary_key=True),
    Column("system", String(20), primary_key=True),
    Column("generation", Integer, nullable=False),  # counts the tickets; another follows one that was closed there
    Column("key", Text, key="ticket_key"),  # the key that people use there; null until the ticket is created
    Column("handle", Text, key="ticket_id"),  # the id in the system's API
    Column("url", Text),
    Column("remote", Text, key="status"),  # the ticket's status in the system's own words, as last read or set
    Column("shown", String(12), nullable=False),  # the incident's state that the ticket shows with that status
    Column("pending", Boolean, key="queued", nullable=False),  # a row of the outbox waits to update the ticket
    Column("making_since", Double, key="creating_since"),  # its creation was begun, and no end of that was recorded
    Column("noting", _BIG, key="comment_begun"),  # a comment up to this entry was begun, and its end not recorded
    Column("noted", _BIG, key="commented", nullable=False),  # the last entry of the timeline that the ticket has
    Column("noted_at", Double, key="commented_at", nullable=False),
    Column("polled_at", Double, nullable=False),
    Column("error", Text),
    Column("ended", Boolean, nullable=False, server_default=false()),  # the ticket is gone, and no other one is made
    Column("severity", String(10)),  # the one that the ticket shows; null: that of its creation, before this column
    Column("tried", String(12)),  # the state that we last began to set, while the answer to that is not recorded
    Column("tried_at", Double),
    Index("incidents_mirrors_by_key", "system", "ticket_key"),
)


connections: Table = Table(
    "incidents_connections",
    metadata,
    Column("system", String(20), primary_key=True),
    Column("since", Double, nullable=False),
    Column("error", Text, nullable=False),
)
"""The ticket systems that do not know our account, while they do not."""


def make_tables(database: Engine) -> None:
    """Create the tables of incidents, keys and outbox, where they are missing."""
    for each in (metadata, database_keys.METADATA, outbox_metadata):
        create_tables(database, each)
