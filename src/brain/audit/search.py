"""Finding entries: by time, type, agent, threat, correlation id and text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, and_, or_, select

from brain.audit.entries import kept
from brain.audit.tables import entries
from brain.charter import Event, Pattern
from brain.errors import EnvelopeError
from brain.kit.database import reading
from brain.stream.query import EventQuery

_PAGE = 2000
_ESCAPE = "\\"
_COLUMNS = (
    entries.c.idx,
    entries.c.leaf_hash,
    entries.c.appended_at,
    entries.c.at,
    entries.c.type,
    entries.c.event_id,
    entries.c.agent,
    entries.c.threat,
    entries.c.correlation_id,
    entries.c.payload,
)


@dataclass(frozen=True)
class Entry:
    """One entry of the log. Times are Unix seconds; `at` is the event's own, `appended_at` the log's."""

    index: int
    leaf_hash: bytes
    appended_at: float
    at: float
    type: str
    event_id: str | None
    agent: str | None
    threat: str | None
    correlation_id: str | None
    data: bytes | None
    """The exact bytes; None once retention has deleted them."""

    @cached_property
    def event(self) -> Event | None:
        """The event in the bytes; None when they are deleted or no valid event."""
        if self.data is None:
            return None
        try:
            return Event.decode(self.data)
        except EnvelopeError:
            return None


@dataclass(frozen=True, kw_only=True)
class EntryQuery(EventQuery):
    """Which entries are asked for: as for the stream, and by what the log has an index of.

    `text` is found anywhere in an event, in whatever case.
    """

    agent: str | None = None
    threat: str | None = None
    text: str | None = None

    @cached_property
    def clauses(self) -> Sequence[ColumnElement[bool]]:
        """All but the text, for the database."""
        found: list[ColumnElement[bool]] = []
        if not self.pattern.matches_all:
            found.append(of_pattern(self.pattern))
        if self.since is not None:
            found.append(entries.c.at >= self.since)
        if self.until is not None:
            found.append(entries.c.at < self.until)
        if self.agent is not None:
            found.append(entries.c.agent == kept(self.agent))
        if self.threat is not None:
            found.append(entries.c.threat == kept(self.threat))
        if self.correlation_id is not None:
            found.append(of_story(self.correlation_id))
        return found

    @cached_property
    def needle(self) -> str:
        """The text as it stands in JSON, in lower case."""
        return msgspec.json.encode(self.text or "").decode()[1:-1].lower()


def of_pattern(pattern: Pattern) -> ColumnElement[bool]:
    """The entries whose type matches the pattern."""
    return or_(*(entries.c.type.like(_like(text), escape=_ESCAPE) for text in pattern.texts))


def of_story(correlation_id: str) -> ColumnElement[bool]:
    """The entries with the correlation id, and the one whose own id it is."""
    return or_(entries.c.correlation_id == kept(correlation_id), entries.c.event_id == kept(correlation_id))


def find(connection: Connection, query: EntryQuery, before: int | None = None, limit: int = 100) -> list[Entry]:
    """At most `limit` of the entries asked for before the index `before`, the newest first."""
    found: list[Entry] = []
    page = limit if query.text is None else max(limit, _PAGE)
    while True:
        clauses = [*query.clauses, *([entries.c.idx < before] if before is not None else [])]
        newest = select(*_COLUMNS).where(and_(True, *clauses)).order_by(entries.c.idx.desc()).limit(page)
        rows: Sequence[Any] = connection.execute(newest).all()
        for row in rows:
            entry = Entry(*row)
            if _has_text(entry, query):
                found.append(entry)
                if len(found) == limit:
                    return found
        if len(rows) < page:
            return found
        before = rows[-1][0]


def each(database: Engine, query: EntryQuery) -> Iterator[Entry]:
    """All entries asked for, oldest first; in pages, each a short transaction of its own."""
    after = -1
    while True:
        clauses = [*query.clauses, entries.c.idx > after]
        following = select(*_COLUMNS).where(and_(*clauses)).order_by(entries.c.idx).limit(_PAGE)
        with reading(database).connect() as connection:
            rows: Sequence[Any] = connection.execute(following).all()
        for row in rows:
            entry = Entry(*row)
            if _has_text(entry, query):
                yield entry
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]


def _has_text(entry: Entry, query: EntryQuery) -> bool:
    if query.text is None:
        return True
    return entry.data is not None and query.needle in entry.data.decode(errors="replace").lower()


def _like(pattern: str) -> str:
    """The subscription pattern in SQL's terms, where `_` would stand for any character."""
    return pattern.replace("_", f"{_ESCAPE}_").replace("*", "%")
