"""Watches limits and service level objectives: what changed since the last look, and how that is stored.

A state and its event are one write. A look first reads only; when nothing changed, that is all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from sqlalchemy import Connection, RowMapping, and_, delete, select

from brain.charter import EventType
from brain.kit.limits import Limit, LimitChange, LimitState
from brain.kit.sql import upsert
from brain.metrics import tables
from brain.metrics.announce import announce
from brain.metrics.definition_store import Defined
from brain.metrics.epochs import active_epochs
from brain.metrics.events import LIMIT_CLEARED, LIMIT_CROSSED, SLO_BURNING, SLO_CLEARED
from brain.metrics.limit_values import limit_values
from brain.metrics.slo_status import SloStatus, slo_status

if TYPE_CHECKING:
    from brain.metrics.definitions import LimitDefinition

LIMIT, SLO = "limit", "slo"
Key = tuple[str, str, str]
"""Kind, name and label of what is watched."""


@dataclass(frozen=True)
class Watched:
    """The state of a limit, for one label, or of an objective; `details` are those of its last event."""

    definition: str
    state: LimitState = field(default_factory=LimitState)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A state that changed, and what is announced of it."""

    key: Key
    state: Watched | None
    event: EventType[Any] | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


def changes(connection: Connection, defined: Defined, now: float) -> list[Change]:
    """What changed since the last look, by what is counted until `now` (Unix seconds)."""
    known = read_watched(connection)
    epochs = {epoch.name: epoch for epoch in active_epochs(connection)}
    current = {
        **{(LIMIT, name): fingerprint(one) for name, one in defined.limits.items()},
        **{(SLO, name): fingerprint(one) for name, one in defined.slos.items()},
    }
    gone = [key for key, one in known.items() if current.get(key[:2]) != one.definition]
    found = [_gone(key, known.pop(key), now) for key in gone]
    for name, limit in defined.limits.items():
        mine = {key[2]: one for key, one in known.items() if key[:2] == (LIMIT, name)}
        values = limit_values(connection, limit, epochs.get(limit.metric), now, mine)
        for label, value in values.items():
            was = mine.get(label, Watched(current[LIMIT, name]))
            found += _limit_change((LIMIT, name, label), limit, was, value, now)
    for name, slo in defined.slos.items():
        was = known.get((SLO, name, ""), Watched(current[SLO, name]))
        status = slo_status(connection, name, slo, epochs, now, already=was.state.crossed)
        found += _slo_change((SLO, name, ""), status, was, now)
    return found


def store(connection: Connection, found: Sequence[Change], now: float) -> None:
    """Store the changed states, with their events."""
    for change in found:
        if change.event is not None:
            announce(connection, change.event, change.payload, now)
        kind, name, label = change.key
        if change.state is None:
            connection.execute(delete(tables.watched).where(_is(change.key)))
            continue
        state = change.state.state
        row = {
            "kind": kind,
            "name": name,
            "label": label,
            "definition": change.state.definition,
            "crossed": int(state.crossed),
            "since": state.since,
            "pending_since": state.pending_since,
            "details": json.dumps(change.state.details),
        }
        upsert(connection, tables.watched, [row])


def read_watched(connection: Connection) -> dict[Key, Watched]:
    """All that is crossed or about to be."""
    rows = connection.execute(select(tables.watched).order_by(*tables.watched.primary_key)).mappings()
    return {(row["kind"], row["name"], row["label"]): _watched(row) for row in rows}


def fingerprint(definition: BaseModel) -> str:
    """Stands for what is defined: a state under another definition begins again."""
    return sha256(definition.model_dump_json().encode()).hexdigest()[:32]


def limit_payload(key: Key, definition: LimitDefinition, value: float | None, since: float) -> dict[str, Any]:
    """What the events about a limit have in common."""
    _, name, label = key
    limit = definition.limit()
    return {
        "limit_name": name,
        "metric": definition.metric,
        "labels": {definition.by: label} if definition.by else {},
        "value": value,
        "limit": limit.limit,
        "window_seconds": definition.window_seconds,
        "direction": str(limit.direction),
        "since": since,
    }


def _limit_change(
    key: Key, definition: LimitDefinition, was: Watched, value: float | None, now: float
) -> Iterator[Change]:
    limit: Limit = definition.limit()
    state, change = limit.apply(was.state, value, now)
    if state == was.state:
        return
    stored = None if state == LimitState() else replace(was, state=state)
    if change is None:
        yield Change(key, stored)
        return
    if stored is None:
        payload = {**limit_payload(key, definition, value, was.state.since or now), **_ended(change)}
        yield Change(key, None, LIMIT_CLEARED, payload)
        return
    payload = limit_payload(key, definition, value, state.since or now)
    yield Change(key, replace(stored, details=payload), LIMIT_CROSSED, payload)


def _ended(change: LimitChange) -> dict[str, Any]:
    return {"reason": "value", "for_seconds": change.for_seconds}


def _slo_change(key: Key, status: SloStatus, was: Watched, now: float) -> Iterator[Change]:
    if status.burning is None:
        if was.state.crossed:
            yield Change(key, None, SLO_CLEARED, _slo_cleared(was, status.budget_left, "value", now))
        return
    worse = was.state.crossed and status.burning.window.burn > was.details["burn_limit"]
    if was.state.crossed and not worse:
        return
    since = was.state.since if was.state.since is not None else now
    payload = {
        "slo": status.name,
        "objective": status.objective,
        "burn_rate": status.burning.long,
        "burn_rate_short": status.burning.short,
        "burn_limit": status.burning.window.burn,
        "window_long": status.burning.window.long_seconds,
        "window_short": status.burning.window.short_seconds,
        "budget_left": status.budget_left,
        "since": since,
    }
    state = LimitState(crossed=True, since=since)
    yield Change(key, replace(was, state=state, details=payload), SLO_BURNING, payload)


def _slo_cleared(was: Watched, budget_left: float | None, reason: str, now: float) -> dict[str, Any]:
    since = was.state.since if was.state.since is not None else now
    return {
        "slo": was.details["slo"],
        "objective": was.details["objective"],
        "budget_left": budget_left,
        "since": since,
        "reason": reason,
        "for_seconds": max(0.0, now - since),
    }


def _gone(key: Key, was: Watched, now: float) -> Change:
    """Its definition was changed or removed."""
    if not was.state.crossed:
        return Change(key, None)
    if key[0] == SLO:
        return Change(key, None, SLO_CLEARED, _slo_cleared(was, None, "definition", now))
    since = was.state.since if was.state.since is not None else now
    more = {"value": None, "reason": "definition", "for_seconds": max(0.0, now - since)}
    return Change(key, None, LIMIT_CLEARED, {**was.details, **more})


def _is(key: Key) -> Any:
    kind, name, label = key
    table = tables.watched.c
    return and_(table.kind == kind, table.name == name, table.label == label)


def _watched(row: RowMapping) -> Watched:
    state = LimitState(bool(row["crossed"]), row["since"], row["pending_since"])
    return Watched(row["definition"], state, json.loads(row["details"]))
