"""The tables of hardware. All times are in Unix seconds; the SQL runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from brain.charter import HealthSeverity
from brain.hardware.models import CONSUMER
from brain.hardware.reports import exhaustion, hijack
from brain.kit import leases, outbox
from brain.kit.database import create_tables
from brain.kit.outbox.reports import HEALTH, THREATS, left_messages, put_health, put_threat
from brain.kit.schema import versioned


def _move_reports(db: sa.Connection) -> None:
    """Version 2: reports have a table of their own. They were messages of the outbox."""
    for row in left_messages(db, CONSUMER, (THREATS, HEALTH)):
        body = row.body
        if row.channel == THREATS:
            threat = hijack(body["agent"], body["robot"], body["command"], body["reason"])
            put_threat(db, CONSUMER, threat, row.created_at)
        else:
            report = exhaustion(body["limit"], HealthSeverity(body["severity"]))
            put_health(db, CONSUMER, report, row.created_at, key=row.dedup)


METADATA: sa.MetaData = versioned("hardware", _move_reports)

DEVICES: sa.Table = sa.Table(
    "hardware_devices",
    METADATA,
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),  # host, robot
    sa.Column("driver", sa.String(200), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("added_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double),  # of the last reading; null: it never gave one
    sa.Column("reading", sa.JSON),
)
"""Every host that ran the plug-in's tasks, and every robot of the settings, with the last reading."""

LIMITS: sa.Table = sa.Table(
    "hardware_limits",
    METADATA,
    sa.Column("device", sa.String(300), primary_key=True),
    sa.Column("metric", sa.String(300), primary_key=True),
    sa.Column("crossed", sa.Boolean, nullable=False),
    sa.Column("since", sa.Double),
    sa.Column("pending_since", sa.Double),
    sa.Column("value", sa.Double, nullable=False),  # the one that changed this row
    sa.Column("level", sa.Double, nullable=False),
)
"""The limits that are crossed, or whose time to hold runs; no row is no trouble."""

SAMPLES: sa.Table = sa.Table(
    "hardware_samples",
    METADATA,
    sa.Column("device", sa.String(300), primary_key=True),
    sa.Column("metric", sa.String(300), primary_key=True),
    sa.Column("at", sa.Double, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
"""What forecasts are made of: a few readings an hour."""

FORECASTS: sa.Table = sa.Table(
    "hardware_forecasts",
    METADATA,
    sa.Column("device", sa.String(300), primary_key=True),
    sa.Column("metric", sa.String(300), primary_key=True),
    sa.Column("made_at", sa.Double, nullable=False),
    sa.Column("exhausted_at", sa.Double, nullable=False),
    sa.Column("slope", sa.Double, nullable=False),
    sa.Column("r2", sa.Double, nullable=False),
)
"""What was announced, and still holds."""

ROBOTS: sa.Table = sa.Table(
    "hardware_robots",
    METADATA,
    sa.Column("robot", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),  # of the last command
    sa.Column("moving", sa.Boolean, nullable=False),  # a movement was begun, and no stop after it was recorded
    sa.Column("stopped_at", sa.Double),  # of the emergency stop that holds; null: none does
    sa.Column("stopped_by", sa.Text),
    sa.Column("stop_reason", sa.Text),
)
"""One row for each robot that was ever leased, driven or stopped."""

COMMANDS: sa.Table = sa.Table(
    "hardware_commands",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("robot", sa.String(64), nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("content", sa.String(64), nullable=False),  # tells a key that is used again for something else
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger),
    sa.Column("linear_x", sa.Double, nullable=False),
    sa.Column("linear_y", sa.Double, nullable=False),
    sa.Column("angular_z", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Index("hardware_commands_of", "robot", "at"),
    sa.Index("hardware_commands_at", "at"),
)
"""What became of each command."""


def make_tables(database: sa.Engine) -> None:
    """Make what is missing. Blocks. Raises Unavailable."""
    for metadata in (METADATA, leases.METADATA, outbox.metadata):
        create_tables(database, metadata)
