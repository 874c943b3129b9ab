"""Searching the log: by time, type, agent, threat, correlation id, text and who did it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    LargeBinary,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)

from brain import limits
from brain.audit.models import AuditEntry, clip_field
from brain.audit.repository import ENTRY_COLUMNS, PAGE, entries_in_order, entry_of, first_since
from brain.audit.stored_bytes import MARK
from brain.audit.tables import BLOCK, entries, types
from brain.charter import Event, Pattern
from brain.kit.database import reading
from brain.stream.query import EventQuery

_ESCAPE = "\\"
_FEW_TYPES = 64
_FEW_ENTRIES = 500
_TYPES = """
WITH RECURSIVE known(type) AS (
    SELECT min(type) FROM audit_types
    UNION ALL SELECT (SELECT min(type) FROM audit_types WHERE type > known.type) FROM known WHERE known.type IS NOT NULL
) SELECT type FROM known
"""  # one look-up for each type, not all of the index


@dataclass(frozen=True, kw_only=True)
class AuditQuery(EventQuery):
    """Which entries are asked for: as for the stream, and by the fields that the log has an index of.

    `text` is found anywhere in an event; case does not matter. `principal` is the proven name of who did it, or the
    name that a request gave for it (`meta.on_behalf_of`); like `text` it is looked for in the events themselves.
    `logged_since` and `logged_until` (excluded) are Unix times of the log, which never go back; `after` and `upto`
    (included) are indexes.
    """

    agent: str | None = None
    threat: str | None = None
    text: str | None = None
    principal: str | None = None
    logged_since: float | None = None
    logged_until: float | None = None
    after: int | None = None
    upto: int | None = None

    @cached_property
    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """All but text and principal, for the database."""
        found: list[ColumnElement[bool]] = []
        if not self.pattern.matches_all:
            found.append(of_pattern(self.pattern))
        if self.since is not None:
            found.append(entries.c.at >= self.since)
        if self.until is not None:
            found.append(entries.c.at < self.until)
        if self.after is not None:
            found.append(entries.c.idx > self.after)
        if self.upto is not None:
            found.append(entries.c.idx <= self.upto)
        if self.agent is not None:
            found.append(entries.c.agent == clip_field(self.agent))
        if self.threat is not None:
            found.append(entries.c.threat == clip_field(self.threat))
        if self.correlation_id is not None:
            found.append(of_correlation(self.correlation_id))
        return found

    @property
    def reads_bytes(self) -> bool:
        """Whether the events themselves must be looked at."""
        return self.text is not None or self.principal is not None

    def fits_bytes(self, entry: AuditEntry) -> bool:
        """Whether the entry's bytes hold the text, as it is written in JSON, and are of the principal.

        Deleted bytes hold none.
        """
        if not self.reads_bytes:
            return True
        if entry.data is None or (self.text is not None and self.needle not in _lowered(entry.data)):
            return False
        return self.principal is None or (self.name_in_json in entry.data and self._is_by(entry.event))

    def _is_by(self, event: Event | None) -> bool:
        meta = event.meta if event is not None else {}
        who = meta.get("principal")
        name = who.get("name") if isinstance(who, Mapping) else None
        return self.principal in (name, meta.get("on_behalf_of"))

    @cached_property
    def name_in_json(self) -> bytes:
        """The principal's name as it is in JSON."""
        return msgspec.json.encode(self.principal or "")

    @cached_property
    def needle(self) -> str:
        """The text as it is in JSON, in lower case."""
        return msgspec.json.encode(self.text or "").decode()[1:-1].lower()


def _lowered(data: bytes) -> str:
    return data.decode(errors="replace").lower()


def of_pattern(pattern: Pattern) -> ColumnElement[bool]:
    """The entries whose type matches the pattern."""
    return or_(*(entries.c.type.like(_like(text), escape=_ESCAPE) for text in pattern.texts))


def of_correlation(correlation_id: str) -> ColumnElement[bool]:
    """The entries with the correlation id, and the one whose own id it is."""
    return or_(entries.c.correlation_id == clip_field(correlation_id), entries.c.event_id == clip_field(correlation_id))


def find(connection: Connection, query: AuditQuery, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
    """At most `limit` entries that fit the query, before the index `before`; the newest first."""
    found: list[AuditEntry] = []
    looked_for = [*_in_bytes(connection, query)]
    page = max(limit, PAGE) if query.reads_bytes and not looked_for else limit  # few of those that are read may fit
    conditions = [*query.conditions, *_recent(connection, query), *looked_for]
    wanted = _wanted_types(connection, query)
    while True:
        first = 0
        if wanted is not None:
            block = _newest_block(connection, wanted, before)
            if block is None:
                return found[:limit]
            first, end = block * BLOCK, (block + 1) * BLOCK
            before = end if before is None else min(before, end)
        bounds = [entries.c.idx >= first, *([entries.c.idx < before] if before is not None else [])]
        rows: Sequence[Any] = connection.execute(
            select(*ENTRY_COLUMNS).where(and_(True, *bounds, *conditions)).order_by(entries.c.idx.desc()).limit(page)
        ).all()
        found += [entry for entry in map(entry_of, rows) if query.fits_bytes(entry)]
        if len(found) >= limit or (len(rows) < page and first == 0):
            return found[:limit]
        before = rows[-1][0] if len(rows) == page else first


def _wanted_types(connection: Connection, query: AuditQuery) -> list[str] | None:
    """The types in the log that fit, where blocks without them are passed over; None where that does not pay.

    What has an index of its own is found by that; and where very many types fit, most blocks have one.
    """
    narrow = (query.agent, query.threat, query.correlation_id)
    if query.pattern.matches_all or any(one is not None for one in narrow):
        return None
    fitting = [type for (type,) in connection.execute(text(_TYPES)) if type and query.pattern.matches(type)]
    return fitting if len(fitting) <= _FEW_TYPES else None


def _newest_block(connection: Connection, wanted: Sequence[str], before: int | None) -> int | None:
    """The newest block that has one of the types, of those with an index before this one."""
    if not wanted or before == 0:
        return None
    last = limits.COUNT if before is None else (before - 1) // BLOCK
    newest = [select(func.max(types.c.block)).where(types.c.type == type, types.c.block <= last) for type in wanted]
    blocks = connection.execute(union_all(*newest)).scalars()
    return max((block for block in blocks if block is not None), default=None)


def _in_bytes(connection: Connection, query: AuditQuery) -> Iterator[ColumnElement[bool]]:
    """What SQLite can look for in the bytes itself: there it keeps no other thread of the process waiting.

    What it finds is looked at once more. Its `lower` knows the letters of ASCII alone.
    """
    if connection.dialect.name != "sqlite":
        return
    if query.text is not None and (needle := query.needle).isascii():
        yield func.instr(func.lower(cast(_whole_bytes(), Text)), needle) > 0
    if query.principal is not None:
        yield func.instr(entries.c.payload, query.name_in_json) > 0


def _whole_bytes() -> ColumnElement[bytes]:
    """An entry's bytes as `stored_bytes.whole` gives them, as an expression of SQLite."""
    payload, event_id = entries.c.payload, entries.c.event_id
    cut = and_(event_id.is_not(None), func.substr(payload, 1, 1) == MARK)
    texts = literal('{"id":"') + event_id + literal('","type":"') + entries.c.type + literal('",')
    return case((cut, cast(texts.concat(payload), LargeBinary)), else_=payload)


def _recent(connection: Connection, query: AuditQuery) -> Sequence[ColumnElement[bool]]:
    """Where few events are as young as that, exactly those: else all older ones would be looked through for more."""
    if query.since is None:
        return ()
    young = select(entries.c.idx).where(entries.c.at >= query.since).order_by(entries.c.at).limit(_FEW_ENTRIES + 1)
    found = connection.execute(young).scalars().all()
    return (entries.c.idx.in_(found),) if len(found) <= _FEW_ENTRIES else ()


def each(database: Engine, query: AuditQuery) -> Iterator[AuditEntry]:
    """All entries that fit the query, the oldest first; read in pages.

    Of the times of the log follow indexes: what was logged in a time is between two of them, without a gap.
    """
    with reading(database).connect() as connection:
        if query.logged_since is not None:
            begin = first_since(connection, query.logged_since) - 1
            query = replace(query, after=begin if query.after is None else max(query.after, begin))
        if query.logged_until is not None:
            end = first_since(connection, query.logged_until) - 1
            query = replace(query, upto=end if query.upto is None else min(query.upto, end))
    after = -1 if query.after is None else query.after
    return filter(query.fits_bytes, entries_in_order(database, query.conditions, after))


def _like(pattern: str) -> str:
    """The subscription pattern for SQL's LIKE, where an unescaped `_` matches any character."""
    return pattern.replace("_", f"{_ESCAPE}_").replace("*", "%")
