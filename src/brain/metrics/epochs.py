"""The epochs of defined metrics: which definition counts which events.

A definition begins to count after the position of the projection, and ends at the position where another takes its
place. Both happen under the lock on that position, so that no event is counted by two or by none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping, func, select, update

from brain.metrics import tables
from brain.metrics.compiled import Epoch

if TYPE_CHECKING:
    from brain.metrics.definitions import MetricDefinition


def active_epochs(connection: Connection) -> list[Epoch]:
    """Those that count now, in the order in which they began."""
    return [epoch for epoch in all_epochs(connection) if epoch.until is None]


def all_epochs(connection: Connection) -> list[Epoch]:
    """Every epoch that has points, in the order in which they began."""
    found = connection.execute(select(tables.epochs).order_by(tables.epochs.c.id))
    return [_epoch(row) for row in found.mappings()]


def change_epochs(
    connection: Connection, wanted: Mapping[str, MetricDefinition], position: str, now: float
) -> tuple[Sequence[str], Sequence[str]]:
    """From this position on the wanted definitions count; the names of those that began, and of those that ended.

    A definition that only says something else in its `help` goes on as it is.
    """
    known = all_epochs(connection)
    active = {epoch.name: epoch for epoch in known if epoch.until is None}
    same = {name for name, definition in wanted.items() if name in active and _same(active[name], definition)}
    ended = [epoch for name, epoch in active.items() if name not in same]
    if ended:
        going = tables.epochs.c.id.in_([epoch.id for epoch in ended])
        connection.execute(update(tables.epochs).where(going).values(until_position=position, ended_at=now))
    for name in same:
        connection.execute(
            update(tables.epochs).where(tables.epochs.c.id == active[name].id).values(definition=written(wanted[name]))
        )
    begun = sorted(wanted.keys() - same)
    first = 1 + (connection.execute(select(func.max(tables.epochs.c.id))).scalar_one() or 0)
    rows = [
        {
            "id": first + place,
            "name": name,
            "number": 1 + max((epoch.number for epoch in known if epoch.name == name), default=0),
            "definition": written(wanted[name]),
            "after_position": position,
            "began_at": now,
        }
        for place, name in enumerate(begun)
    ]
    if rows:
        connection.execute(tables.epochs.insert(), rows)
    return begun, sorted(epoch.name for epoch in ended)


def written(definition: MetricDefinition) -> str:
    """The definition as it is stored."""
    return definition.model_dump_json()


def _same(epoch: Epoch, definition: MetricDefinition) -> bool:
    without = {"help": ""}
    return epoch.definition.model_copy(update=without) == definition.model_copy(update=without)


def _epoch(row: RowMapping) -> Epoch:
    from brain.metrics.definitions import MetricDefinition  # its models are built when they are wanted

    return Epoch(
        row["id"],
        row["name"],
        row["number"],
        MetricDefinition.model_validate_json(row["definition"]),
        row["after_position"],
        row["until_position"],
        row["began_at"],
        row["ended_at"],
    )
