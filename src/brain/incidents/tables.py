"""The tables of incidents. All times are in Unix seconds; the SQL runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

_BIG = BigInteger().with_variant(Integer, "sqlite")

incidents = Table(
    "incidents_incidents",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("story", Text, nullable=False),
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
    UniqueConstraint("story", "episode", name="incidents_one_per_episode"),
    Index("incidents_by_state", "state", "opened_at"),
)

numbers = Table(
    "incidents_numbers",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("last", Integer, nullable=False),
)
"""The last number given; one row, so that two writers never give the same."""

timeline = Table(
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
    Column("likeness", Text, nullable=False),  # entries of one likeness within a minute are counted as one
    Column("count", Integer, nullable=False),
    Index("incidents_timeline_order", "incident", "id"),
    Index("incidents_timeline_likeness", "incident", "likeness", "last_at"),
    sqlite_autoincrement=True,
)

links = Table(
    "incidents_events",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("incident", String(20), nullable=False),
    Column("type", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("incidents_events_of", "incident", "at"),
)
"""The events of an incident's story, by their ids; as many as MOST_EVENTS."""

threats = Table(
    "incidents_threats",
    metadata,
    Column("threat", Text, primary_key=True),
    Column("story", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_at", Double, nullable=False),
    Column("detected_at", Double, nullable=False),
    Index("incidents_threats_of", "story"),
)
"""Every threat as the stream tells of it, also those without an incident."""

health = Table(
    "incidents_health",
    metadata,
    Column("story", Text, primary_key=True),
    Column("number", _BIG, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("module", Text, nullable=False),
    Column("state", String(10), nullable=False),  # open, healed, failed, dismissed
    Column("at", Double, nullable=False),
)
"""The critical health events of stories, by their numbers, and what became of each."""

recent = Table(
    "incidents_recent",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("story", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("rule_id", Text),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("incidents_recent_agent", "agent", "at"),
    Index("incidents_recent_story", "story", "at"),
    Index("incidents_recent_at", "at"),
)
"""The policy decisions of the last while, from which an incident takes those behind it."""

decisions = Table(
    "incidents_decisions",
    metadata,
    Column("incident", String(20), primary_key=True),
    Column("event_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("agent", "action", "resource", "effect")),
    Column("rule_id", Text),
    Column("reason", Text, nullable=False),
    Column("at", Double, nullable=False),
)
"""The policy decisions behind each incident, copied so that they stay when the stream forgets."""

mirrors = Table(
    "incidents_mirrors",
    metadata,
    Column("incident", String(20), primary_key=True),
    Column("system", String(20), primary_key=True),
    Column("generation", Integer, nullable=False),  # counts the tickets; a new one follows one that was closed there
    Column("key", Text),  # the ticket's key there; null until it is created
    Column("handle", Text),  # what its API calls it by, where that is not the key
    Column("url", Text),
    Column("remote", Text),  # the ticket's state there, in the system's own words, as last seen or set
    Column("shown", String(12), nullable=False),  # the incident's state that the ticket shows with that
    Column("pending", Boolean, nullable=False),  # a row of the outbox will look at what is to be sent
    Column("making_since", Double),  # its making was begun, and no end of that was seen
    Column("noting", _BIG),  # a text up to this entry of the timeline was begun, and its answer not seen
    Column("noted", _BIG, nullable=False),  # the last entry of the timeline that the ticket has
    Column("noted_at", Double, nullable=False),
    Column("polled_at", Double, nullable=False),
    Column("error", Text),
    Index("incidents_mirrors_by_key", "system", "key"),
)
