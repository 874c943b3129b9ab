"""The tables of playbooks. All times are in Unix seconds; the SQL runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from brain.kit import leases, outbox
from brain.kit.database import create_tables
from brain.kit.schema import versioned

METADATA: sa.MetaData = versioned("playbooks")

RUNS: sa.Table = sa.Table(
    "playbook_runs",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("playbook", sa.String(200), nullable=False),
    sa.Column("content", sa.JSON, nullable=False),  # the playbook as it was when the run began
    sa.Column("event", sa.JSON, nullable=False),  # what started it
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("correlation_id", sa.String(500), nullable=False),
    sa.Column("depth", sa.Integer, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("step", sa.Integer, nullable=False),  # the next one to do, from 0
    sa.Column("dry_run", sa.Boolean, nullable=False),
    sa.Column("answer", sa.Boolean),  # of the person who was asked
    sa.Column("answered_by", sa.String(200)),
    sa.Column("asked", sa.Boolean, nullable=False),
    sa.Column("verified", sa.Boolean),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("due_at", sa.Double),  # when it is looked at next; null: it is over
    sa.Column("verify_until", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Index("playbook_runs_due", "due_at"),
    sa.Index("playbook_runs_of", "playbook", "created_at"),
    sa.Index("playbook_runs_about", "subject", "created_at"),
    sa.Index("playbook_runs_at", "created_at"),
    sa.Index("playbook_runs_story", "correlation_id"),
)
"""One row for each run."""

STEPS: sa.Table = sa.Table(
    "playbook_steps",
    METADATA,
    sa.Column("run", sa.String(40), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
)
"""One row for each step that was begun."""

STOPS: sa.Table = sa.Table(
    "playbook_stops",
    METADATA,
    sa.Column("playbook", sa.String(200), primary_key=True),
    sa.Column("subject", sa.String(200), primary_key=True),
    sa.Column("reason", sa.String(20), primary_key=True),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
)
"""What was stopped by a budget or the cool-down, and how often."""


def make_tables(database: sa.Engine) -> None:
    """Make what is missing. Blocks. Raises Unavailable."""
    for metadata in (METADATA, leases.METADATA, outbox.metadata):
        create_tables(database, metadata)
