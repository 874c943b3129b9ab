"""The tables of the series. Positions are kept as text; times are Unix seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    text,
    update,
)

from brain.kit.schema import POLICY, add_column, drop_column, versioned
from brain.metrics.defined_rows import COLUMNS, DefinedRow


def _add_version(db: Connection) -> None:
    """Version 2: the events of a threat are ordered by its version."""
    add_column(db, threats.c.version)


def _add_definitions(db: Connection) -> None:
    """Version 3: metrics that users define. An older program would count on without them."""
    for table in (definitions, epochs, defined, watched):
        table.create(db, checkfirst=True)


def _add_mark(db: Connection) -> None:
    """Version 4: each batch leaves a mark. An older program would count without one."""
    add_column(db, definitions.c.counted)


def _report_crossings(db: Connection) -> None:
    """Version 5: a crossing is reported with its change. What was stored and not reported is now."""
    if "reported" not in {column["name"] for column in inspect(db).get_columns(watched.name)}:
        return
    from brain.metrics.crossings import report_crossing
    from brain.metrics.definition_store import read_defined
    from brain.metrics.watch import read_watched

    left = text(f"SELECT kind, name, label FROM {watched.name} WHERE crossed = 1 AND reported = 0")
    known, defined = read_watched(db), read_defined(db)
    for row in db.execute(left).all():
        key = (row.kind, row.name, row.label)
        report_crossing(db, key, known[key], defined, time.time())
    drop_column(db, watched.name, "reported")


metadata: MetaData = versioned("metrics", _add_version, _add_definitions, _add_mark, _report_crossings)

points: Table = Table(
    "metrics_points",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("series", String(40), primary_key=True),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("label", String(250), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("sum", BigInteger, nullable=False),
    Column("error", BigInteger, nullable=False),
    comment="Series by step (seconds; 0: since the beginning) and bucket",
    sqlite_with_rowid=False,
)
buckets: Table = Table(
    "metrics_buckets",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("first_position", String(50), nullable=False),
    comment="The position in the stream of the first event that a bucket's points depend on",
    sqlite_with_rowid=False,
)
kept: Table = Table(
    "metrics_kept",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),
    comment="Up to where buckets have been deleted: there are none before",
)
origin: Table = Table(
    "metrics_origin",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("event_id", String(250), nullable=False),
    comment="The first event that was ever counted",
)
exemplars: Table = Table(
    "metrics_exemplars",
    metadata,
    Column("series", String(40), primary_key=True),
    Column("label", String(250), primary_key=True),
    Column("correlation_id", String(250), nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("value", Double, nullable=False),
    Column("at", Double, nullable=False),
    comment="The last event counted in a point",
)
threats: Table = Table(
    "metrics_threats",
    metadata,
    Column("threat_id", String(250), primary_key=True),
    Column("first_position", String(50), nullable=False),
    Column("type", String(250), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("correlation_id", String(250), nullable=False),
    Column("detected_at", Double, index=True),
    Column("investigated_at", Double),
    Column("closed_at", Double, index=True),
    Column("resolved_at", Double),
    Column("updated_at", Double, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),
    comment="Threats, as their events describe them",
)
health: Table = Table(
    "metrics_health",
    metadata,
    Column("event_id", String(250), primary_key=True),
    Column("position", String(50), nullable=False),
    Column("at", Double, nullable=False, index=True),
    Column("severity", String(20), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("module", String(250), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("correlation_id", String(250), nullable=False),
    comment="The health events that the score is made of",
)
Index("metrics_points_bucket", points.c.step, points.c.bucket)

definitions: Table = Table(
    "metrics_definitions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("version", BigInteger, nullable=False),
    Column("document", Text, nullable=False, info=POLICY),
    Column("changed_at", Double, nullable=False),
    Column("counted", BigInteger),
    comment="What users define: metrics, limits and service levels, as JSON by where they come from",
)
epochs: Table = Table(
    "metrics_epochs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(60), nullable=False),
    Column("number", Integer, nullable=False),
    Column("definition", Text, nullable=False, info=POLICY),
    Column("after_position", String(50), nullable=False),
    Column("until_position", String(50)),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
    comment="Which definition of a metric counts which events: those after one position, up to another",
)
defined: Table = Table(
    "metrics_defined",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("label", String(400), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("sum", BigInteger, nullable=False),
    Column("error", BigInteger, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("last", Double),
    Column("last_at", Double),
    Column("bins", Text),
    comment="Points of the metrics that users define",
    sqlite_with_rowid=False,
)
watched: Table = Table(
    "metrics_watched",
    metadata,
    Column("kind", String(10), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("label", String(400), primary_key=True),
    Column("definition", String(64), nullable=False),
    Column("crossed", Integer, nullable=False),
    Column("since", Double),
    Column("pending_since", Double),
    Column("details", Text, nullable=False),
    comment="Limits and service levels that are crossed, or about to be",
)
FIGURES: tuple[Column[Any], ...] = tuple(defined.c[name] for name in COLUMNS)
"""The columns of a row's figures, as DefinedRow takes them."""
Index("metrics_defined_bucket", defined.c.step, defined.c.bucket)


def _merge_points(row: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: row[name] + other[name] for name in ("count", "sum", "error")}


def _merge_defined(row: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    both = [DefinedRow().fill([one[name] for name in COLUMNS]) for one in (row, other)]
    both[0].absorb(both[1])
    both[0].error += both[1].error
    return dict(zip(COLUMNS, both[0].figures(), strict=True))


def _forget_kept(db: Connection) -> None:
    """Have those who keep rows in memory read them again."""
    db.execute(update(definitions).values(counted=None))


points.info["merge"] = _merge_points
defined.info["merge"] = _merge_defined
for _counted in (points, defined):
    _counted.info["changed"] = _forget_kept
