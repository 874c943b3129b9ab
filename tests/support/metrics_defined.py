"""Metrics that users define, for tests: definitions over the traffic of support.metrics_traffic, and their points."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from brain.charter import Event
from brain.metrics import tables
from brain.metrics.definition_store import API, Defined, define
from brain.metrics.definitions import DefinitionSet
from brain.metrics.projector import EventCounter
from brain.metrics.schema import changing_tables
from support.metrics_traffic import START

TWENTY: dict[str, Any] = {
    "events_all": {"kind": "counter", "events": "*"},
    "by_source": {"kind": "counter", "events": "*", "labels": {"source": "source"}},
    "by_type": {"kind": "counter", "events": "*", "labels": {"type": "type"}},
    "vendors": {"kind": "counter", "events": "vendor*", "labels": {"type": "type", "source": "source"}},
    "decisions_made": {"kind": "counter", "events": "policy.rule_evaluated"},
    "denied": {"kind": "counter", "events": "policy.*", "where": [{"field": "effect", "value": "DENY"}]},
    "denied_by": {
        "kind": "counter",
        "events": "policy.*",
        "where": [{"field": "effect", "value": "DENY"}],
        "labels": {"agent": "agent_id", "action": "action"},
    },
    "by_agent": {"kind": "counter", "events": "policy.*", "labels": {"agent": "agent_id"}},
    "let_through": {
        "kind": "counter",
        "events": "policy.*",
        "where": [{"field": "effect", "operator": "in", "value": ["ALLOW", "WARN", "AUDIT"]}],
    },
    "microseconds": {"kind": "counter", "events": "policy.*", "value": "evaluation_time_us", "decimals": 3},
    "microseconds_by": {
        "kind": "counter",
        "events": "policy.*",
        "value": "evaluation_time_us",
        "labels": {"agent": "agent_id"},
    },
    "how_long": {
        "kind": "histogram",
        "events": "policy.*",
        "value": "evaluation_time_us",
        "bounds": [1, 10, 100, 1000],
    },
    "how_long_by": {
        "kind": "histogram",
        "events": "policy.*",
        "value": "evaluation_time_us",
        "bounds": [1, 10, 100, 1000],
        "labels": {"agent": "agent_id"},
    },
    "last_time": {"kind": "gauge", "events": "policy.*", "value": "evaluation_time_us"},
    "last_time_by": {
        "kind": "gauge",
        "events": "policy.*",
        "value": "evaluation_time_us",
        "labels": {"agent": "agent_id"},
    },
    "mitigated": {"kind": "histogram", "events": "threat.mitigated", "value": "duration_seconds", "bounds": [60, 600]},
    "mitigated_last": {
        "kind": "gauge",
        "events": "threat.mitigated",
        "value": "duration_seconds",
        "labels": {"severity": "severity"},
    },
    "moves": {"kind": "counter", "events": "threat.status_changed", "labels": {"status": "new_status"}},
    "stories": {"kind": "counter", "events": "immune.*", "labels": {"story": "meta.correlation_id"}},
    "healed": {
        "kind": "counter",
        "events": "immune.*",
        "where": [{"field": "details.outcome", "operator": "exists", "value": True}],
        "labels": {"outcome": "details.outcome"},
    },
}
"""Of every kind, with and without labels, one of 300 agents among them."""


def defined(engine: Engine, definitions: dict[str, Any], now: float = START, **more: Any) -> Defined:
    """Define these metrics, and `limits` and `slos`, in the place of those before."""
    given = DefinitionSet.model_validate({"definitions": definitions, **more})
    with changing_tables(engine) as connection:
        return define(connection, API, given, now)


def counting(engine: Engine, events: list[Event], batch: int = 1000, first: int = 1) -> Engine:
    """Count the events in batches, as the projection does; each one's position is its number, from `first`."""
    counter = EventCounter()
    for start in range(0, len(events), batch):
        with engine.begin() as connection:
            some = enumerate(events[start : start + batch], start + first)
            counter.count(connection, [(str(position), event) for position, event in some])
    return engine


def points(engine: Engine, name: str, step: int = 0) -> dict[tuple[int, str], dict[str, Any]]:
    """The rows of the metric's present definition, by bucket and label."""
    table = tables.defined
    of_name = select(tables.epochs.c.id).where(tables.epochs.c.name == name, tables.epochs.c.until_position.is_(None))
    query = select(table).where(table.c.epoch == of_name.scalar_subquery(), table.c.step == step)
    with engine.begin() as connection:
        return {(row["bucket"], row["label"]): {**row} for row in connection.execute(query).mappings()}
