"""The tables of missions. All times are in Unix seconds; the SQL runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from brain.charter import HealthKind, HealthSeverity
from brain.kit import leases
from brain.kit.database import create_tables
from brain.kit.outbox import metadata as outbox_metadata
from brain.kit.outbox import put_health
from brain.kit.outbox.reports import HEALTH, left_messages
from brain.kit.protocols import HealthReport
from brain.kit.schema import versioned
from brain.missions.models import TaskStatus
from brain.missions.plugin import PLUGIN


def _move_reports(db: sa.Connection) -> None:
    """Version 2: reports have a table of their own. They were messages of the outbox."""
    for row in left_messages(db, PLUGIN.name, (HEALTH,)):
        body = row.body
        kind, details = HealthKind(body["kind"]), body["details"]
        severity = HealthSeverity(body["severity"])
        report = HealthReport(severity, kind, PLUGIN.name, body["message"], details, details.get("mission_id"))
        put_health(db, PLUGIN.name, report, row.created_at, key=row.dedup)


METADATA = versioned("missions", _move_reports)

MISSIONS = sa.Table(
    "missions_missions",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("priority", sa.String(10), nullable=False),
    sa.Column("deadline", sa.Double),
    sa.Column("cancel_when_overdue", sa.Boolean, nullable=False),
    sa.Column("overdue_at", sa.Double),  # when that was announced
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("context", sa.JSON, nullable=False),
    sa.Column("correlation_id", sa.Text, nullable=False),
    sa.Column("content", sa.String(32), nullable=False),  # of the request that made it
    sa.Column("by", sa.Text),
    sa.Column("tasks", sa.Integer, nullable=False),
    sa.Column("open_tasks", sa.Integer, nullable=False),  # those that have not ended, undoing ones included
    sa.Column("done_tasks", sa.Integer, nullable=False),
    sa.Column("outcome", sa.String(12)),  # what it will be once it has stopped: failed or cancelled
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("stop_until", sa.Double),  # when agents must have acknowledged that it stops
    sa.Column("escalated", sa.JSON, nullable=False),  # names of tasks whose agents did not
    sa.Column("compensated", sa.Boolean),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Index("missions_by_status", "status", "created_at"),
)


def _partial(name: str, where: str, *columns: str) -> tuple[sa.Index]:
    """An index of the rows that fit. Queries must say the same with literals: SQLite looks at no parameters."""
    fits = sa.text(where)
    return (sa.Index(f"missions_tasks_{name}", *columns, sqlite_where=fits),)


TASKS = sa.Table(
    "missions_tasks",
    METADATA,
    sa.Column("id", sa.String(150), primary_key=True),  # <mission>.<name>
    sa.Column("mission", sa.String(40), nullable=False),
    sa.Column("name", sa.String(110), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),  # each after those it depends on
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),  # whether its mission lets it begin
    sa.Column("rank", sa.Integer, nullable=False),  # the lower the sooner
    sa.Column("requires", sa.Text, nullable=False),  # capabilities, sorted
    sa.Column("input", sa.JSON, nullable=False),
    sa.Column("depends_on", sa.JSON, nullable=False),  # names
    sa.Column("successors", sa.JSON, nullable=False),  # ids
    sa.Column("waiting_for", sa.Integer, nullable=False),  # how many of depends_on are not completed
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("retry_seconds", sa.Double, nullable=False),
    sa.Column("timeout_seconds", sa.Double),
    sa.Column("person", sa.Text),
    sa.Column("undo", sa.JSON(none_as_null=True)),
    sa.Column("undoes", sa.String(110)),  # the name of the task that it undoes
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("agent", sa.String(200)),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("lease_until", sa.Double),
    sa.Column("attempt_until", sa.Double),
    sa.Column("due_at", sa.Double),  # when time decides: a lease or a try ends, a retry or an answer is due
    sa.Column("approval", sa.String(200)),
    sa.Column("progress", sa.Double),
    sa.Column("progress_at", sa.Double),  # when that was announced
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.Text),
    sa.Column("ready_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Index("missions_tasks_of_mission", "mission", "position"),
    # Most tasks have ended: these indexes hold only what is looked for, so that a task's end costs little.
    *_partial("to_claim", "status = 'ready'", "open", "rank", "ready_at", "id"),
    *_partial("of_agent", "status = 'running'", "agent"),
    *_partial("failed", "status = 'failed'", "ended_at"),
    *_partial("due", "due_at IS NOT NULL", "due_at", "status"),
    *_partial("by_approval", "approval IS NOT NULL", "approval"),
)
REQUIREMENTS = sa.Table("missions_requirements", METADATA, sa.Column("requires", sa.String(2200), primary_key=True))
"""Every set of capabilities that a task ever asked for: a claim asks for those that its agent has."""
AGENTS = sa.Table(
    "missions_agents",
    METADATA,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("capabilities", sa.JSON, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("lost", sa.Integer, nullable=False),  # leases in a row
    sa.Column("completed", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
)


def has_status(status: TaskStatus) -> sa.ColumnElement[bool]:
    """Tasks of this status, said so that the index of it is used."""
    return TASKS.c.status == sa.literal(status.value, literal_execute=True)


def make_tables(database: sa.Engine) -> None:
    """Make the tables of missions, their leases and the outbox, where they are missing. Blocks."""
    for metadata in (METADATA, leases.METADATA, outbox_metadata):
        create_tables(database, metadata)
