"""The tables of SOC alerting, on SQLite and PostgreSQL. Times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

METADATA = sa.MetaData()

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LOCK = 7272631
"""What holds up every other writer of these tables on PostgreSQL; SQLite has one writer at a time anyway."""

ALERTS = sa.Table(
    "soc_alerts",
    METADATA,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("key", sa.String(500), nullable=False),
    sa.Column("current", sa.Boolean, nullable=False),  # the newest of its key
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("event", sa.String(300), nullable=False),
    sa.Column("correlation_id", sa.Text, nullable=False),
    sa.Column("latest_story", sa.Text, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("period", sa.Integer, nullable=False),
    sa.Column("demand", sa.Integer, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("first_at", sa.Double, nullable=False),
    sa.Column("fired_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double, nullable=False),
    sa.Column("resolved_at", sa.Double),
    sa.Column("resolved_by", sa.Text, nullable=False),
    sa.Column("held_until", sa.Double),
    sa.Column("expires_at", sa.Double),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("acknowledged_at", sa.Double),
    sa.Index("soc_alerts_key", "key", "current"),
    sa.Index("soc_alerts_state", "state", "last_at"),
    sa.Index("soc_alerts_story", "latest_story"),
)
GROUPS = sa.Table(
    "soc_groups",
    METADATA,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("route", sa.String(100), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("dedup_key", sa.String(255)),  # what it is known by outside, while anybody was told of it
    sa.Column("due_at", sa.Double),
    sa.Column("inhibited", sa.Boolean, nullable=False),  # whether any change elsewhere may make it speak
    sa.Index("soc_groups_due", "due_at"),
)
MEMBERS = sa.Table(
    "soc_members",
    METADATA,
    sa.Column("alert_id", sa.String(20), primary_key=True),
    sa.Column("group_id", sa.String(20), primary_key=True),
    sa.Index("soc_members_group", "group_id"),
)
TOLD = sa.Table(
    "soc_told",
    METADATA,
    sa.Column("group_id", sa.String(20), primary_key=True),
    sa.Column("notifier", sa.String(100), primary_key=True),
    sa.Column("standing", sa.String(12), nullable=False),
    sa.Column("marks", sa.JSON, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("acknowledged", sa.Boolean, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
)
NOTICES = sa.Table(
    "soc_notices",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True),
    sa.Column("group_id", sa.String(20), nullable=False),
    sa.Column("notifier", sa.String(100), nullable=False),
    sa.Column("action", sa.String(12), nullable=False),
    sa.Column("alerts", sa.JSON, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("held", sa.Boolean, nullable=False),  # held back by the rate limit
    sa.Column("summary_id", _NUMBER),  # the summary that told of it, if it was held back
    sa.Index("soc_notices_group", "group_id", "at"),
    sa.Index("soc_notices_rate", "notifier", "at"),
    sa.Index("soc_notices_held", "held", "summary_id"),
    sqlite_autoincrement=True,
)
SUMMARIES = sa.Table(
    "soc_summaries",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True),
    sa.Column("notifier", sa.String(100), nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,
)
SILENCES = sa.Table(
    "soc_silences",
    METADATA,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("matchers", sa.JSON, nullable=False),
    sa.Column("starts_at", sa.Double, nullable=False),
    sa.Column("ends_at", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)


def alone(db: sa.Connection) -> None:
    """Wait until no other transaction writes these tables, and keep them for this one."""
    if db.dialect.name == "postgresql":
        db.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def upsert(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = ()) -> None:
    """Insert the rows, or write over those with their primary keys; columns of `keep` stay as they are there."""
    if not rows:
        return
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    own = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in own and name not in keep}
    if changed:
        db.execute(statement.on_conflict_do_update(index_elements=own, set_=changed), [*rows])
    else:
        db.execute(statement.on_conflict_do_nothing(index_elements=own), [*rows])
