"""The list of threats: a table with a row for each, from which pages, filters and counts are read by an index.

On SQLite it lies beside the documents, and triggers keep it, whichever process writes. For another store each process
has one of its own in memory, and follows the store with it.
docs/decisions/0063-a-list-beside-the-documents.md says why.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, Protocol

from brain.charter import Severity, ThreatStatus
from brain.store import Document, Mark, Store, forking
from brain.store.sqlite import SQLiteStore
from brain.threats.list_schema import COLLECTION, FILL, FILLED, PUT, SCHEMA, TABLES

_FILLED_AT_ONCE = 5_000
"""Threats that one transaction takes into the list of an older file: others write in between."""


class Filters(NamedTuple):
    """Which threats are listed; None and an empty sequence: whichever."""

    statuses: Sequence[ThreatStatus] = ()
    severities: Sequence[Severity] = ()
    type: str | None = None
    source: str | None = None


class Place(NamedTuple):
    """Where a threat stands in the list, which has the latest detected first."""

    at: float
    key: str


class Counted(NamedTuple):
    """How many threats there are of a type, status and severity, and the sums of what is known of them.

    `at` is the sum of the milliseconds from EPOCH to detection, the others are sums of microseconds.
    """

    type: str
    status: str
    severity: str
    number: int
    at: int
    detected: int
    detect: int
    investigated: int
    investigate: int
    mitigated: int
    mitigate: int


class ThreatList(Protocol):
    """The list of one store. Every method raises Unavailable when the store does not answer."""

    def query(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """The rows of a statement about the list as the store is now."""

    def documents(self, keys: Sequence[str]) -> Mapping[str, Document]:
        """Those of the documents that are there."""


def list_of_store(store: Store) -> ThreatList:
    """The list of this store."""
    return FileList(store) if isinstance(store, SQLiteStore) else CopiedList(store)


class FileList:
    """A list in the file of the store, made and filled at its first use."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store
        self._is_filled = False

    def query(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """As ThreatList says."""
        if not self._is_filled:
            self._fill()
        return self._store.query(statement, values)

    def documents(self, keys: Sequence[str]) -> Mapping[str, Document]:
        """As ThreatList says."""
        return {one.key: one for one in self._store.get_several(COLLECTION, keys)}

    def _fill(self) -> None:
        self._store.make_tables(SCHEMA)
        if not self._store.query("SELECT 1 FROM threat_list_filled", {}):
            after: str | None = ""
            while after is not None:
                after = next(iter(self._store.change(FILL, {"after": after, "most": _FILLED_AT_ONCE})), (None,))[0]
            self._store.change(FILLED, {})
        self._is_filled = True


class CopiedList:
    """A list in this process's memory, which follows the store; a forked child makes its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = forking.ForkLock(forking.Level.SERVICE)
        forking.register(self._lock)
        self._process = 0
        self._mark: Mark | None = None
        self._db: sqlite3.Connection

    def query(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """As ThreatList says."""
        with self._lock:
            self._follow()
            return self._db.execute(statement, values).fetchall()

    def documents(self, keys: Sequence[str]) -> Mapping[str, Document]:
        """As ThreatList says."""
        return {one.key: one for one in (self._store.get(COLLECTION, key) for key in keys) if one is not None}

    def _follow(self) -> None:
        if self._process != os.getpid():
            self._process, self._mark = os.getpid(), None
        if self._mark is not None and self._store.mark(COLLECTION) == self._mark:
            return
        reading = self._store.read(COLLECTION, self._mark)
        if self._mark is None or reading.whole:
            self._begin()
        self._db.executemany("DELETE FROM threat_list WHERE key = ?", [(key,) for key in reading.deleted])
        self._db.executemany("DELETE FROM threat_list WHERE key = ?", [(one.key,) for one in reading.documents])
        self._db.executemany(PUT, [{"key": one.key, "data": one.data} for one in reading.documents])
        self._mark = reading.mark

    def _begin(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close)
        for statement in TABLES:
            self._db.execute(statement)


_PLACES = "SELECT at, key FROM threat_list WHERE {where}"


def find_places(rows: ThreatList, filters: Filters, limit: int, before: Place | None = None) -> list[Place]:
    """The places of at most `limit` threats that fit, the latest detected first; those that come after `before`.

    One branch for each status and severity, each in the order of an index: together they are merged, not sorted.
    """
    values: dict[str, Any] = {"limit": limit, "type": filters.type, "source": filters.source}
    given = [f"{name} = :{name}" for name in ("source", "type") if values[name] is not None]
    if before is not None:
        values |= {"at": before.at, "key": before.key}
        given += ["(at, key) < (:at, :key)"]
    branches = [
        _PLACES.format(where=" AND ".join([f"status = '{status}'", f"severity = '{severity}'", *given]))
        for status, severity in product(filters.statuses or ThreatStatus, filters.severities or Severity)
    ]
    statement = f"{' UNION ALL '.join(branches)} ORDER BY 1 DESC, 2 DESC LIMIT :limit"
    return [Place(*row) for row in rows.query(statement, values)]


def oldest_place(rows: ThreatList, statuses: Iterable[ThreatStatus]) -> Place | None:
    """The place of the threat that was detected first, of those in these statuses."""
    branches = [
        _PLACES.format(where=f"status = '{status}' AND severity = '{severity}'")
        for status, severity in product(sorted(statuses), Severity)
    ]
    found = rows.query(f"{' UNION ALL '.join(branches)} ORDER BY 1, 2 LIMIT 1", {})
    return Place(*found[0]) if found else None


def find_place(rows: ThreatList, key: str) -> Place | None:
    """Where the threat stands in the list, or None."""
    found = rows.query("SELECT at, key FROM threat_list WHERE key = :key AND at IS NOT NULL", {"key": key})
    return Place(*found[0]) if found else None


def unreadable_keys(rows: ThreatList) -> list[str]:
    """The keys of what is no threat."""
    return [key for (key,) in rows.query("SELECT key FROM threat_list WHERE status IS NULL", {})]


def count_rows(rows: ThreatList) -> Iterator[Counted]:
    """The counts of all threats."""
    return (Counted(*row) for row in rows.query("SELECT * FROM threat_counts", {}))
