"""The tables of alerting, on SQLite and PostgreSQL. Times are Unix seconds.

The names in the database are those of the first version (`soc_...`, `told`, `notices`): its data stays where it is.
"""

from __future__ import annotations

import sqlalchemy as sa

from brain.kit import outbox, positions
from brain.kit.database import create_tables, reading
from brain.kit.outbox.news import note_written
from brain.kit.outbox.table import messages_topic
from brain.kit.schema import POLICY, add_column, versioned


def _add_versions(db: sa.Connection) -> None:
    """Version 2: the changes of things are counted."""
    VERSIONS.create(db, checkfirst=True)


def _add_outcomes(db: sa.Connection) -> None:
    """Version 3: the log says what the service accepted, and not only what was decided."""
    for name in ("paged", "settled", "accepted_at", "refusal"):
        add_column(db, NOTIFICATION_LOG.c[name])
    add_column(db, SUMMARIES.c.refused_at)


def _add_connections(db: sa.Connection) -> None:
    """Version 4: notifiers whose service does not know our account."""
    CONNECTIONS.create(db, checkfirst=True)


def _order_by_time(db: sa.Connection) -> None:
    """Version 5: pages of the list are read from an index, also where many alerts have the same time."""
    db.exec_driver_sql("DROP INDEX IF EXISTS soc_alerts_state")
    for index in (_NEWEST, _IN_STATE, _REFUSALS):
        index.create(db, checkfirst=True)


METADATA = versioned("alerting", _add_versions, _add_outcomes, _add_connections, _order_by_time)

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LOCK = 7272631
"""The advisory lock of the one writer of these tables on PostgreSQL; SQLite has one writer at a time anyway."""

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
    sa.Column("latest_story", sa.Text, key="latest_correlation_id", nullable=False),
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
    sa.Index("soc_alerts_story", "latest_correlation_id"),
)
_NEWEST = sa.Index("soc_alerts_newest", ALERTS.c.last_at, ALERTS.c.id)
_IN_STATE = sa.Index("soc_alerts_in_state", ALERTS.c.state, ALERTS.c.last_at, ALERTS.c.id)
VERSIONS = sa.Table(
    "soc_versions",
    METADATA,
    sa.Column("key", sa.String(500), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Index("soc_versions_at", "at"),
)
"""The latest change of each thing whose changes are counted that was applied, also where that began no alert."""
GROUPS = sa.Table(
    "soc_groups",
    METADATA,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("route", sa.String(100), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("dedup_key", sa.String(255)),  # its name in outside services, while a notification is open
    sa.Column("due_at", sa.Double),
    sa.Column("inhibited", sa.Boolean, nullable=False),  # whether a change of another alert may end its muting
    sa.Index("soc_groups_due", "due_at"),
)
MEMBERS = sa.Table(
    "soc_members",
    METADATA,
    sa.Column("alert_id", sa.String(20), primary_key=True),
    sa.Column("group_id", sa.String(20), primary_key=True),
    sa.Index("soc_members_group", "group_id"),
)
NOTIFICATION_LOG = sa.Table(
    "soc_told",
    METADATA,
    sa.Column("group_id", sa.String(20), primary_key=True),
    sa.Column("notifier", sa.String(100), primary_key=True),
    sa.Column("standing", sa.String(12), key="state", nullable=False),
    sa.Column("marks", sa.JSON, key="fingerprints", nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("acknowledged", sa.Boolean, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("paged", sa.Integer, nullable=False, server_default="0"),  # the number of the last page
    sa.Column("settled", sa.Integer, nullable=False, server_default="0"),  # of the last one whose outcome is known
    sa.Column("accepted_at", sa.Double, nullable=False, server_default="0"),
    sa.Column("refusal", sa.JSON(none_as_null=True)),  # null unless the last message was refused
)
_REFUSALS = sa.Index(
    "soc_told_refused", NOTIFICATION_LOG.c.notifier, sqlite_where=NOTIFICATION_LOG.c.refusal.is_not(sa.null())
)
NOTIFICATIONS = sa.Table(
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
    sa.Column("summary_id", _NUMBER),  # the summary that mentions it, if it was held back
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
    sa.Column("refused_at", sa.Double),  # the service refused it: its pages go into another one
    sqlite_autoincrement=True,
)
SILENCES = sa.Table(
    "soc_silences",
    METADATA,
    sa.Column("id", sa.String(20), primary_key=True),
    sa.Column("matchers", sa.JSON, nullable=False, info=POLICY),
    sa.Column("starts_at", sa.Double, nullable=False),
    sa.Column("ends_at", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)
CONNECTIONS = sa.Table(
    "alerting_connections",
    METADATA,
    sa.Column("notifier", sa.String(100), primary_key=True),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)
"""The notifiers whose service does not know our account now."""


CONSUMER = "alerting"
"""The name of this plug-in in the outbox."""
_FORMER_CONSUMER = "soc"


def make_tables(database: sa.Engine) -> None:
    """Make the tables that are missing, and take over the outbox rows of the version before. Blocks.

    A row keeps its id, its key and the claim of a process that is sending it, so that it is sent once. Who sends here
    is woken, since it may have looked before.
    """
    for metadata in (METADATA, outbox.metadata, positions.METADATA):
        create_tables(database, metadata)
    former = outbox.outbox.c.consumer == _FORMER_CONSUMER
    with reading(database).begin() as db:
        if not db.execute(sa.select(sa.exists().where(former))).scalar_one():
            return
    with database.begin() as db:
        db.execute(sa.update(outbox.outbox).where(former).values(consumer=CONSUMER))
        note_written(db, messages_topic(CONSUMER))


def lock_tables(db: sa.Connection) -> None:
    """Wait until no other transaction writes these tables, and keep the others out until this one ends."""
    if db.dialect.name == "postgresql":
        db.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
