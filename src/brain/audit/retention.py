"""Retention: legal holds, and the deletion of payloads that are older than the retention.

A deletion removes the exact bytes. It leaves the hash, so that all other proofs still hold, and the search fields
(times, type, ids, agent). Its seal distinguishes it from a payload that somebody else removed.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, bindparam, delete, insert, select, true, update

from brain.audit.seal import Sealing
from brain.audit.search import of_correlation, of_pattern
from brain.audit.settings import LEAST_DAYS
from brain.audit.tables import entries, holds
from brain.charter import Pattern
from brain.errors import InvalidInput, NotFound
from brain.kit.database import reading

DAY = 86_400.0
_PAGE = 1000
REASON_CHARACTERS = 1000


@dataclass(frozen=True)
class Hold:
    """A legal hold: entries that match it are not deleted. Either a pattern of event types or a correlation id."""

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
        end = _first_since(connection, cutoff)
    count, after = 0, -1
    while True:
        with database.begin() as connection:
            held = [hold.condition for hold in _holds(connection)]
            rows = connection.execute(
                select(entries.c.idx, entries.c.seal)
                .where(entries.c.idx > after, entries.c.idx < end, entries.c.payload.is_not(None))
                .where(*(condition.is_not(true()) for condition in held))
                .order_by(entries.c.idx)
                .limit(_PAGE)
            ).all()
            if rows and not dry:
                connection.execute(
                    update(entries)
                    .where(entries.c.idx == bindparam("at_index"))
                    .values(payload=None, deletion=bindparam("seal_of_deletion")),
                    [{"at_index": index, "seal_of_deletion": sealing.deletion(seal)} for index, seal in rows],
                )
        count += len(rows)
        if len(rows) < _PAGE:
            return count
        after = rows[-1][0]


def _holds(connection: Connection) -> list[Hold]:
    rows = connection.execute(select(holds).order_by(holds.c.made_at, holds.c.id)).mappings()
    return [Hold(**row) for row in rows]


def _first_since(connection: Connection, cutoff: float) -> int:
    """The index of the first entry that was logged at or after `cutoff`: those before it never were later."""
    last = connection.scalar(select(entries.c.idx).order_by(entries.c.idx.desc()).limit(1))
    low, high = 0, 0 if last is None else last + 1
    while low < high:
        middle = (low + high) // 2
        at = connection.scalar(select(entries.c.appended_at).where(entries.c.idx == middle))
        if at is not None and at < cutoff:
            low = middle + 1
        else:
            high = middle
    return low
