"""Retention: legal holds, and the deletion of payloads that are older than the retention.

A deletion removes the exact bytes. It leaves the hash, so that all other proofs still hold, and the search fields
(times, type, ids, agent). Its seal distinguishes it from a payload that somebody else removed.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, delete, insert, select, true, update

from brain.audit.repository import first_since
from brain.audit.seal import Sealing
from brain.audit.search import of_correlation, of_pattern
from brain.audit.settings import LEAST_DAYS
from brain.audit.tables import causes, entries, holds
from brain.charter import Pattern
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.database import reading
from brain.kit.sql import chunks

DAY = 86_400.0
_PAGE = 1000
REASON_CHARACTERS = 1000


@dataclass(frozen=True)
class Hold:
    """A legal hold: entries that match it are not deleted. Either a pattern of event types or a correlation id.

    That of a correlation id holds what its events caused, and what caused them, too.
    """

    id: str
    pattern: str | None
    correlation_id: str | None
    reason: str
    by: str
    made_at: float

    @property
    def condition(self) -> ColumnElement[bool]:
        """The entries that it holds."""
        if self.pattern is not None:
            return of_pattern(Pattern(self.pattern.split(",")))
        assert self.correlation_id is not None
        return of_correlation(self.correlation_id)


def check_retention(days: float, i_know: bool) -> float:
    """The days as given. Raises InvalidInput for fewer than 90, unless the caller knows."""
    if not days > 0:
        raise InvalidInput(f"retention: {days:g} days is no duration; give a number above 0")
    if days < LEAST_DAYS and not i_know:
        raise InvalidInput(
            f"retention: {days:g} days are fewer than {LEAST_DAYS:g}, the least for an audit log; if the law and your "
            "contracts allow it, repeat with --i-know (in the settings: audit.i_know = true)"
        )
    return days


def add_hold(
    database: Engine, now: float, *, pattern: str | None, correlation_id: str | None, reason: str, by: str
) -> Hold:
    """Hold what matches the pattern or carries the correlation id, from now on. Raises InvalidInput."""
    if (pattern is None) is (correlation_id is None) or correlation_id == "":
        raise InvalidInput("hold: give either a pattern of event types, such as threat.*, or a correlation id")
    if pattern is not None:
        pattern = str(Pattern([part.strip() for part in pattern.split(",")]))
    if not reason.strip() or len(reason) > REASON_CHARACTERS:
        raise InvalidInput(f"reason: say why, in at most {REASON_CHARACTERS} characters")
    hold = Hold(f"hold_{secrets.token_hex(6)}", pattern, correlation_id, reason.strip(), by, now)
    with database.begin() as connection:
        connection.execute(insert(holds), vars(hold))
    return hold


def list_holds(database: Engine) -> list[Hold]:
    """All holds, the oldest first."""
    with reading(database).connect() as connection:
        return _holds(connection)


def remove_hold(database: Engine, hold_id: str) -> Hold:
    """Remove a hold; the next pruning deletes the payloads that it held and that are old enough. Raises NotFound."""
    with database.begin() as connection:
        found = [hold for hold in _holds(connection) if hold.id == hold_id]
        if not found:
            raise NotFound(f"hold: no hold has the id {hold_id!r}; `brain audit hold list` shows those that exist")
        connection.execute(delete(holds).where(holds.c.id == hold_id))
    return found[0]


def prune(database: Engine, sealing: Sealing, days: float, now: float, *, dry: bool = False) -> int:
    """Delete the payloads that were logged more than `days` ago and are not held; returns how many. Blocks.

    In pages, each a transaction of its own: it may be stopped at any time. With `dry` nothing is deleted.
    """
    cutoff = now - days * DAY
    with reading(database).connect() as connection:
        end = first_since(connection, cutoff)
    count, after, tied = 0, -1, _Tied((), frozenset())
    while True:
        with database.begin() as connection:
            all_holds = _holds(connection)
            held = [hold.condition for hold in all_holds]
            tied = _tied(connection, all_holds, tied)
            rows = connection.execute(
                select(entries.c.idx, entries.c.seal, entries.c.event_id)
                .where(entries.c.idx > after, entries.c.idx < end, entries.c.payload.is_not(None))
                .where(*(condition.is_not(true()) for condition in held))
                .order_by(entries.c.idx)
                .limit(_PAGE)
            ).all()
            free = [row for row in rows if row.event_id not in tied.events]
            if free and not dry:
                connection.execute(
                    update(entries)
                    .where(entries.c.idx == bindparam("at_index"))
                    .values(payload=None, deletion=bindparam("seal_of_deletion")),
                    [{"at_index": index, "seal_of_deletion": sealing.deletion(seal)} for index, seal, _ in free],
                )
        count += len(free)
        if len(rows) < _PAGE:
            return count
        after = rows[-1][0]


def redact(database: Engine, sealing: Sealing, event_id: str) -> Sequence[tuple[int, bytes]]:
    """Delete the payload of an event, whatever its age; the numbers and leaf hashes of its entries.

    Raises NotFound when no entry has this event or its payload is gone already, Conflict when a hold keeps it.
    """
    with database.begin() as connection:
        query = select(entries.c.idx, entries.c.leaf_hash, entries.c.seal).where(
            entries.c.event_id == event_id, entries.c.payload.is_not(None)
        )
        rows = connection.execute(query).all()
        if not rows:
            raise NotFound(
                f"event {event_id!r}: the audit log has no payload of it; `brain audit search` shows what it has"
            )
        all_holds = _holds(connection)
        held = [
            hold.id
            for hold in all_holds
            if connection.execute(select(entries.c.idx).where(entries.c.event_id == event_id, hold.condition)).first()
        ]
        if held or event_id in _tied(connection, all_holds, _Tied((), frozenset())).events:
            named = ", ".join(held) or "a hold of its correlation id"
            raise Conflict(f"event {event_id}: is kept by {named}; remove the hold first")
        for index, _, seal in rows:
            gone = {"payload": None, "deletion": sealing.deletion(seal)}
            connection.execute(update(entries).where(entries.c.idx == index).values(**gone))
    return [(index, leaf) for index, leaf, _ in rows]


def held_entries(connection: Connection, indexes: Sequence[int]) -> dict[int, Sequence[Hold]]:
    """Those of these entries that a legal hold keeps, each with the holds that do."""
    found: dict[int, list[Hold]] = {}
    for hold in _holds(connection):
        for some in chunks(indexes):
            among = entries.c.idx.in_(some)
            mine = set(connection.execute(select(entries.c.idx).where(among, hold.condition)).scalars())
            if hold.correlation_id is not None:
                tied = tied_to(connection, hold.correlation_id)
                named = connection.execute(select(entries.c.idx, entries.c.event_id).where(among)).all()
                mine |= {row.idx for row in named if row.event_id in tied}
            for index in mine:
                found.setdefault(index, []).append(hold)
    return dict(found)


class _Tied(NamedTuple):
    """The events that holds of correlation ids hold beside those that have it."""

    correlation_ids: Sequence[str]
    events: frozenset[str]


def _tied(connection: Connection, all_holds: Sequence[Hold], known: _Tied) -> _Tied:
    """What the correlation ids of these holds are tied to; worked out again when others are held."""
    correlation_ids = tuple(hold.correlation_id for hold in all_holds if hold.correlation_id is not None)
    if correlation_ids == known.correlation_ids:
        return known
    return _Tied(correlation_ids, frozenset().union(*(tied_to(connection, one) for one in correlation_ids)))


def _holds(connection: Connection) -> list[Hold]:
    rows = connection.execute(select(holds).order_by(holds.c.made_at, holds.c.id)).mappings()
    return [Hold(**row) for row in rows]


def tied_to(connection: Connection, correlation_id: str) -> set[str]:
    """The ids of the events of a correlation id, and of all that hang together with them by `causation_id`."""
    query = select(entries.c.event_id).where(of_correlation(correlation_id), entries.c.event_id.is_not(None))
    new = set(connection.execute(query).scalars())
    found = set(new)
    while new:
        near: set[str] = set()
        for some in chunks(sorted(new)):
            near |= set(connection.execute(select(causes.c.event_id).where(causes.c.cause.in_(some))).scalars())
            near |= set(connection.execute(select(causes.c.cause).where(causes.c.event_id.in_(some))).scalars())
        new = near - found
        found |= new
    return found
