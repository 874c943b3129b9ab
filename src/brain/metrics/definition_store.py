"""What users define, as it is stored: one document for each source, with one version for all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from brain.errors import Conflict, InvalidInput
from brain.kit import positions
from brain.kit.sql import upsert
from brain.metrics import tables
from brain.metrics.announce import definitions_changed
from brain.metrics.epochs import change_epochs
from brain.metrics.plugin import PLUGIN
from brain.metrics.query import LABELS_OF, NAMES

if TYPE_CHECKING:
    from brain.metrics.definitions import DefinitionSet, LimitDefinition, MetricDefinition, SloDefinition

FORMER_GROUP = "metrics"
"""The name of the consumer group in the first version."""
SETTINGS, API = "settings", "api"
"""The sources: `[metrics]` of brain.toml, and a person, by the command or a route."""


@dataclass(frozen=True)
class Defined:
    """All that is defined, by source. `version` counts the changes; 0: there never was any."""

    version: int = 0
    changed_at: float | None = None
    sets: Mapping[str, DefinitionSet] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, MetricDefinition]:
        """The metrics, by name."""
        return {name: one for given in self.sets.values() for name, one in given.definitions.items()}

    @property
    def limits(self) -> dict[str, LimitDefinition]:
        """The limits, by name."""
        return {name: one for given in self.sets.values() for name, one in given.limits.items()}

    @property
    def slos(self) -> dict[str, SloDefinition]:
        """The service level objectives, by name."""
        return {name: one for given in self.sets.values() for name, one in given.slos.items()}

    def source(self, kind: str, name: str) -> str:
        """Who defines this: SETTINGS or API."""
        return next(source for source, given in self.sets.items() if name in getattr(given, kind))


def read_defined(connection: Connection) -> Defined:
    """What is defined now."""
    row = connection.execute(select(tables.definitions)).one_or_none()
    if row is None:
        return Defined()
    from brain.metrics.definitions import DefinitionSet  # its models are built when they are wanted

    sets = {source: DefinitionSet.model_validate(given) for source, given in json.loads(row.document).items()}
    return Defined(row.version, row.changed_at, sets)


@contextmanager
def standing_still(connection: Connection) -> Iterator[str]:
    """Where the projection stands, and stays as long as this transaction goes on."""
    names = positions.POSITIONS.c.name
    known = set(connection.execute(select(names).where(names.in_((FORMER_GROUP, PLUGIN.group)))).scalars())
    if known == {FORMER_GROUP}:  # the projection will go on from there
        yield positions.lock(connection, FORMER_GROUP).position
        return
    positions.begin(connection, PLUGIN.group)
    yield positions.lock(connection, PLUGIN.group).position


def define(
    connection: Connection, source: str, given: DefinitionSet, now: float, expected: int | None = None
) -> Defined:
    """Replace all that the source defines, in the caller's transaction, and announce it; what is defined then.

    Metrics that changed begin a new epoch at the position of the projection. Raises Conflict when `expected` is not the
    version any more, and InvalidInput for a name that another source has, and for one that does not exist.
    """
    with standing_still(connection) as position:
        known = read_defined(connection)
        if expected is not None and expected != known.version:
            raise Conflict(f"version: is {known.version} by now, not {expected}; read the definitions again")
        sets = {**known.sets, source: given}
        if known.sets.get(source, type(given)()) == given:
            return known
        found = Defined(known.version + 1, now, sets)
        check(found)
        changed = change_epochs(connection, found.metrics, position, now)
        definitions_changed(connection, found.version, source, changed, now)
        document = json.dumps({name: one.model_dump(mode="json") for name, one in sets.items()})
        row = {"id": 1, "version": found.version, "document": document, "changed_at": now}
        upsert(connection, tables.definitions, [row])
        return found


def check(found: Defined) -> None:
    """Raises InvalidInput, naming the place, for what does not fit together."""
    from brain.metrics.definitions import clashes

    for name in clashes(found.sets):
        raise InvalidInput(f"{name}: is defined in brain.toml and by the API; give it another name, or remove one")
    for name in found.metrics:
        if name in NAMES:
            raise InvalidInput(f"definitions.{name}: there is a series of this name; give it another name")
    for name, limit in found.limits.items():
        _check_limit(f"limits.{name}", limit, found.metrics)
    for name, slo in found.slos.items():
        for role, metric in (("total", slo.total), ("good", slo.good), ("bad", slo.bad)):
            if metric is not None and (metric not in found.metrics or found.metrics[metric].kind != "counter"):
                raise InvalidInput(f"slos.{name}.{role}: no counter is defined as {metric!r}")


def _check_limit(where: str, limit: LimitDefinition, metrics: Mapping[str, MetricDefinition]) -> None:
    if limit.metric in metrics:
        labels = list(metrics[limit.metric].labels)
    elif limit.metric in LABELS_OF:
        labels = list(LABELS_OF[limit.metric])
        if limit.statistic is not None:
            raise InvalidInput(f"{where}.statistic: the series {limit.metric} has one figure; leave it out")
    else:
        known = ", ".join(sorted([*metrics, *LABELS_OF]))
        raise InvalidInput(f"{where}.metric: {limit.metric!r} is not defined; use one of {known}")
    if limit.by is not None and limit.by not in labels:
        raise InvalidInput(
            f"{where}.by: {limit.metric} has no label {limit.by!r}; use one of {', '.join(labels) or 'none'}"
        )
