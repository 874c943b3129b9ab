"""Incidents as people work with them: opened by hand, moved, given to somebody, noted on, listed and shown."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Engine

from brain import limits
from brain.charter import IncidentState as State
from brain.charter import Severity
from brain.errors import Conflict, InvalidInput, NotFound
from brain.incidents import views
from brain.incidents.models import STORY, Incident, plain
from brain.incidents.proofs import Proofs
from brain.incidents.settings import IncidentSettings
from brain.incidents.transaction import Ledger, Why, find_incident
from brain.kit.database import reachable, reading

T = TypeVar("T")

TEXT = limits.NOTE
"""Characters of a note."""


class IncidentService:
    """Commands and queries over the tables of incidents; each command is one transaction.

    `changed` is called after each command: there may be rows in the outbox. `clock` gives Unix seconds.
    Every method raises Unavailable when the database does not answer.
    """

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        clock: Callable[[], float] = time.time,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._changed = changed
        self._proofs = Proofs(database)

    async def open(
        self,
        title: str,
        severity: Severity = Severity.MEDIUM,
        *,
        text: str = "",
        correlation_id: str | None = None,
        owner: str | None = None,
        by: str | None = None,
    ) -> dict[str, Any]:
        """Open an incident by hand; it takes on the story `correlation_id`, or begins one of its own.

        Raises InvalidInput for an empty title, Conflict when that story has an open incident.
        """
        if not title.strip():
            raise InvalidInput("title: is empty; say in one line what it is about")
        story = plain(correlation_id, STORY) or f"incident_{secrets.token_hex(8)}"

        def work(ledger: Ledger) -> Incident:
            before = ledger.current(story)
            if before is not None and before.open:
                raise Conflict(
                    f"correlation_id: the story {story} has the open incident {before.id} (number {before.number}); "
                    "add a note to it instead"
                )
            why = Why(text or "opened by hand", plain(by) or None)
            return ledger.open(story, title.strip(), severity, ledger.now, why, plain(owner) or None)

        return await self._do(work)

    async def move(self, id: str, state: State, note: str = "", by: str | None = None) -> dict[str, Any]:
        """Move it, and its threats with it. Raises NotFound, and Conflict (listing the allowed states)."""
        return await self._do(
            lambda ledger: ledger.move(_found(ledger, id), state, ledger.now, Why(note, plain(by) or "a person"))
        )

    async def assign(self, id: str, owner: str | None, by: str | None = None) -> dict[str, Any]:
        """Give it to `owner`; None gives it to nobody. Raises NotFound."""
        return await self._do(
            lambda ledger: ledger.assign(_found(ledger, id), plain(owner) or None, ledger.now, plain(by) or None)
        )

    async def note(self, id: str, text: str, by: str | None = None) -> dict[str, Any]:
        """Add a note to its timeline, and to its tickets. Raises NotFound, and InvalidInput for an empty note."""
        if not text.strip() or len(text) > TEXT:
            raise InvalidInput(f"text: needs 1 to {TEXT} characters")
        return await self._do(
            lambda ledger: ledger.add(_found(ledger, id), ledger.now, "note", Why(text, plain(by) or None))
        )

    async def get(self, id: str) -> dict[str, Any]:
        """The incident with its timeline, threats, decisions and tickets. Raises NotFound."""
        document = await self._read(lambda engine: views.incident(engine, id))
        if document is None:
            raise _not_found(id)
        await asyncio.to_thread(self._proofs.add, document["decisions"])
        return document

    async def id_of(self, number: int) -> str:
        """The id of the incident with that number. Raises NotFound."""
        id = await self._read(lambda engine: views.id_of(engine, number))
        if id is None:
            raise _not_found(str(number))
        return id

    async def list(
        self, states: Iterable[State] = (), correlation_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Incidents in these states (none given: in any), the latest opened first, at most `limit`."""
        wanted = tuple(states)
        return await self._read(lambda engine: views.listing(engine, wanted, correlation_id, limit))

    async def _do(self, work: Callable[[Ledger], Incident]) -> dict[str, Any]:
        def transaction() -> str:
            with reachable(self._database), self._database.begin() as db:
                return work(Ledger(db, self._settings, self._clock())).id

        id = await asyncio.to_thread(transaction)
        self._changed()
        return await self.get(id)

    async def _read(self, query: Callable[[Engine], T]) -> T:
        def read() -> T:
            with reachable(self._database):
                return query(reading(self._database))

        return await asyncio.to_thread(read)


def _found(ledger: Ledger, id: str) -> Incident:
    incident = find_incident(ledger.db, plain(id))
    if incident is None:
        raise _not_found(id)
    return incident


def _not_found(id: str) -> NotFound:
    return NotFound(
        f"no incident has the id {id!r}; `brain incidents list` or GET /api/incidents shows those there are"
    )
