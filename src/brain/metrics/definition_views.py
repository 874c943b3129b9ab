"""What is defined, and how it stands, as routes and commands show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import Connection

from brain.metrics.definition_store import Defined, read_defined
from brain.metrics.epochs import active_epochs, all_epochs
from brain.metrics.slo_status import slo_status
from brain.metrics.watch import LIMIT, SLO, Watched, fingerprint, read_watched

Source = Annotated[str, Meta(description="Where it is defined: `settings`, which is brain.toml, or `api`.")]


@dataclass(frozen=True)
class FormerDefinition:
    """A definition that counts no more; its points are kept as long as those of 1 h."""

    epoch: Annotated[int, Meta(description="The how-many-th definition of its name.")]
    definition: Annotated[dict[str, Any], Meta(description="The definition.")]
    began_at: Annotated[float, Meta(description="From when on it counted, in Unix seconds.")]
    ended_at: Annotated[float, Meta(description="When another took its place, in Unix seconds.")]


@dataclass(frozen=True)
class DefinedMetric:
    """A metric, and what its series covers."""

    name: Annotated[str, Meta(description="The metric's name.")]
    source: Source
    definition: Annotated[dict[str, Any], Meta(description="The definition.")]
    epoch: Annotated[int, Meta(description="The how-many-th definition of this name: each change begins a new series.")]
    began_at: Annotated[float, Meta(description="When it was defined, in Unix seconds.")]
    counts_after: Annotated[
        str, Meta(description="It counts the events after this position of the stream; empty: from the first one on.")
    ]
    former: Annotated[list[FormerDefinition], Meta(description="Earlier definitions of this name, the latest first.")]


@dataclass(frozen=True)
class Crossing:
    """A label's value that is over its limit."""

    label: Annotated[str, Meta(description="The label's value; empty when the limit is on all together.")]
    since: Annotated[float, Meta(description="Since when, in Unix seconds.")]
    value: Annotated[float | None, Meta(description="The value that crossed it.")]


@dataclass(frozen=True)
class DefinedLimit:
    """A limit, and what is over it now."""

    name: Annotated[str, Meta(description="The limit's name.")]
    source: Source
    definition: Annotated[dict[str, Any], Meta(description="The definition.")]
    crossed: Annotated[list[Crossing], Meta(description="What is over it now.")]


@dataclass(frozen=True)
class DefinedSlo:
    """A service level objective, and how it stands."""

    name: Annotated[str, Meta(description="The objective's name.")]
    source: Source
    definition: Annotated[dict[str, Any], Meta(description="The definition.")]
    burn_rates: Annotated[
        dict[str, float], Meta(description="By window in seconds: how many times faster than the budget allows.")
    ]
    budget_left: Annotated[float, Meta(description="The share of the error budget that is left; below 0: overspent.")]
    burning_since: Annotated[
        float | None, Meta(description="Since when it alerts, in Unix seconds; null: it does not.")
    ]


@dataclass(frozen=True)
class Definitions:
    """All that is defined."""

    version: Annotated[int, Meta(description="How often it was changed.")]
    changed_at: Annotated[float | None, Meta(description="When it was changed last, in Unix seconds; null: never.")]
    definitions: Annotated[list[DefinedMetric], Meta(description="The metrics, by name.")]
    limits: Annotated[list[DefinedLimit], Meta(description="The limits, by name.")]
    slos: Annotated[list[DefinedSlo], Meta(description="The service level objectives, by name.")]


def show_definitions(connection: Connection, now: float) -> Definitions:
    """All that is defined, as it stands at `now` (Unix seconds)."""
    defined = read_defined(connection)
    if not defined.version:
        return Definitions(0, None, [], [], [])
    return Definitions(
        defined.version,
        defined.changed_at,
        _metrics(connection, defined),
        _limits(connection, defined),
        show_slos(connection, now, defined),
    )


def show_slos(connection: Connection, now: float, defined: Defined | None = None) -> list[DefinedSlo]:
    """The service level objectives, as they stand at `now` (Unix seconds)."""
    defined = read_defined(connection) if defined is None else defined
    if not defined.slos:
        return []
    epochs = {epoch.name: epoch for epoch in active_epochs(connection)}
    watched = read_watched(connection)
    found = []
    for name, slo in sorted(defined.slos.items()):
        known = watched.get((SLO, name, ""))
        on = known is not None and known.state.crossed and known.definition == fingerprint(slo)
        status = slo_status(connection, name, slo, epochs, now, already=on)
        since = known.state.since if on and known is not None else None
        found.append(
            DefinedSlo(
                name,
                defined.source("slos", name),
                slo.model_dump(mode="json"),
                status.burn_rates,
                status.budget_left,
                since,
            )
        )
    return found


def _metrics(connection: Connection, defined: Defined) -> list[DefinedMetric]:
    epochs = all_epochs(connection)
    found = []
    for epoch in sorted((one for one in epochs if one.until is None), key=lambda one: one.name):
        former = [
            FormerDefinition(
                one.number, one.definition.model_dump(mode="json"), one.began_at, one.ended_at or one.began_at
            )
            for one in reversed(epochs)
            if one.name == epoch.name and one.until is not None
        ]
        source, definition = defined.source("definitions", epoch.name), epoch.definition.model_dump(mode="json")
        found.append(DefinedMetric(epoch.name, source, definition, epoch.number, epoch.began_at, epoch.after, former))
    return found


def _limits(connection: Connection, defined: Defined) -> list[DefinedLimit]:
    watched = read_watched(connection)
    found = []
    for name, limit in sorted(defined.limits.items()):
        current = fingerprint(limit)
        mine: Sequence[tuple[str, Watched]] = [
            (key[2], one) for key, one in watched.items() if key[:2] == (LIMIT, name) and one.definition == current
        ]
        crossed = [
            Crossing(label, one.state.since or 0.0, one.details.get("value"))
            for label, one in mine
            if one.state.crossed
        ]
        found.append(DefinedLimit(name, defined.source("limits", name), limit.model_dump(mode="json"), crossed))
    return found
