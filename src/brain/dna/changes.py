"""Transactions of this plug-in: each change of state is one write with its events, and made once under one key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from brain.charter import EventType, current_meta
from brain.dna.models import CONSUMER, NotTheOwner
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.database import reachable, reading
from brain.kit.database_keys import KeyedRequest, once
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.outbox import put_event, put_health, put_threat
from brain.kit.protocols import HealthReport, ThreatReport

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction: its connection, its time in Unix seconds, and the meta of the events that it announces."""

    db: Connection
    now: float
    meta: Mapping[str, Any]

    @property
    def correlation_id(self) -> str | None:
        """The correlation id of its events."""
        found: str | None = self.meta.get("correlation_id")
        return found

    def report(self, report: HealthReport | ThreatReport, key: str | None = None) -> None:
        """Report this to immune or threats; a health report with a `key` once."""
        if isinstance(report, ThreatReport):
            put_threat(self.db, CONSUMER, report, self.now)
        else:
            put_health(self.db, CONSUMER, report, self.now, key=key)

    def once(
        self,
        request: KeyedRequest | None,
        make: Callable[[], T],
        find: Callable[[str], T],
        id_of: Callable[[T], object] = attrgetter("id"),
    ) -> T:
        """What `make` gives, or what the same request made before. Raises Conflict."""
        return once(self.db, self.now, request, make, find, id_of)

    def announce(self, declared: EventType[P], payload: P, target: str | None = None) -> None:
        """Announce what is changed."""
        put_event(self.db, CONSUMER, declared.event(payload, target=target, meta=self.meta), self.now)


class Transactions:
    """Reads and writes of one database. `clock` gives Unix seconds."""

    def __init__(self, database: Engine, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock

    async def write(self, work: Callable[[Change], T], failed: Callable[[], None] = lambda: None) -> T:
        """Carry out a change. Raises Unavailable when the database does not answer, and what `work` raises.

        `failed` is called, in the thread, when it is not stored for another reason than a refusal.
        """
        meta = dict(current_meta())

        def transaction() -> T:
            try:
                with reachable(self.database), self.database.begin() as db:
                    return work(Change(db, self.clock(), meta))
            except (Conflict, InvalidInput, NotFound, NotTheOwner):  # refused before anything was done
                raise
            except BaseException:
                failed()
                raise

        return await for_writing(self.database, transaction)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Answer a query. Raises Unavailable when the database does not answer, and what `query` raises."""

        def transaction() -> T:
            with reachable(self.database), reading(self.database).begin() as db:
                return query(db)

        return await for_reading(self.database, transaction)
