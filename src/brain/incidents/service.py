"""Incidents as people work with them: opened by hand, moved, assigned, noted on, listed and shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Engine

from brain import limits
from brain.charter import IncidentState, Severity
from brain.errors import Conflict, InvalidInput, NotFound
from brain.incidents.models import CORRELATION_CHARACTERS, Incident, IncidentChange
from brain.incidents.proofs import DecisionProofs
from brain.incidents.repository import Document, find_document, find_id, find_incident, list_documents
from brain.incidents.settings import IncidentSettings
from brain.incidents.transaction import IncidentTransaction
from brain.kit.database import reachable, reading
from brain.kit.database_keys import KeyedRequest, once
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.idempotency import token_for
from brain.text import clip_text

if TYPE_CHECKING:
    from brain.kit.protocols import AuditProofs

T = TypeVar("T")


class IncidentService:
    """Commands and queries over the tables of incidents; each command is one transaction.

    `clock` gives Unix seconds. `proofs` finds
    decisions in the audit log; without it they are shown without proofs. Every method raises Unavailable when the
    database does not answer.
    """

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        clock: Callable[[], float] = time.time,
        proofs: AuditProofs | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._proofs = DecisionProofs(proofs)

    async def open(
        self,
        title: str,
        severity: Severity = Severity.MEDIUM,
        *,
        text: str = "",
        correlation_id: str | None = None,
        owner: str | None = None,
        by: str | None = None,
        key: str | None = None,
    ) -> Document:
        """Open an incident by hand, for the events of this correlation id or with one of its own.

        With a `key` the same call again gives back the incident that the first one opened. Raises InvalidInput for an
        empty title, Conflict when the correlation id has an open incident, or the key opened one from other content.
        """
        if not title.strip():
            raise InvalidInput("title: is empty; give the subject in one line")
        correlation = clip_text(correlation_id, CORRELATION_CHARACTERS) or f"incident_{token_for('incident', key)}"
        request = KeyedRequest.of("incident", key, title, severity, text, correlation_id, owner, by)

        def make(transaction: IncidentTransaction) -> Incident:
            before = transaction.current(correlation)
            if before is not None and before.open:
                raise Conflict(
                    f"correlation_id: {correlation} has the open incident {before.id} (number {before.number}); "
                    "add a note to it instead"
                )
            opening = IncidentChange(transaction.now, text or "opened by hand", clip_text(by) or None)
            return transaction.open(correlation, title.strip(), severity, opening, clip_text(owner) or None)

        return await self._once(request, make)

    async def move(self, id: str, state: IncidentState, note: str = "", by: str | None = None) -> Document:
        """Move an incident, and its threats with it. Raises NotFound, and Conflict (listing the allowed states)."""
        return await self._change(
            lambda transaction: transaction.move(
                _found(transaction, id), state, IncidentChange(transaction.now, note, clip_text(by) or "a person")
            )
        )

    async def assign(self, id: str, owner: str | None, by: str | None = None) -> Document:
        """Assign an incident to `owner`; None assigns it to nobody. Raises NotFound."""
        return await self._change(
            lambda transaction: transaction.assign(
                _found(transaction, id), clip_text(owner) or None, clip_text(by) or None
            )
        )

    async def note(self, id: str, text: str, by: str | None = None, *, key: str | None = None) -> Document:
        """Add a note to the timeline, and to the tickets. With a `key` the same call again adds nothing.

        Raises NotFound, InvalidInput for an empty note, and Conflict when the key added another note.
        """
        if not text.strip() or len(text) > limits.NOTE:
            raise InvalidInput(f"text: needs 1 to {limits.NOTE} characters")
        request = KeyedRequest.of(f"incident note {id}", key, text, by)
        return await self._once(
            request, lambda transaction: transaction.note(_found(transaction, id), text, clip_text(by) or None)
        )

    async def get(self, id: str) -> Document:
        """The IncidentView of an incident. Raises NotFound."""
        document = await self._read(lambda engine: find_document(engine, id))
        if document is None:
            raise _not_found(id)
        await for_reading(self._database, self._proofs.add, document["decisions"])
        return document

    async def id_of(self, number: int) -> str:
        """The id of the incident with that number. Raises NotFound."""
        id = await self._read(lambda engine: find_id(engine, number))
        if id is None:
            raise _not_found(str(number))
        return id

    async def list(
        self,
        states: Iterable[IncidentState] = (),
        correlation_id: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Document]:
        """The IncidentSummary of each incident in these states (none given: in any), the latest opened first.

        With `before` those that come after the incident with that id. Raises InvalidInput when there is none.
        """
        wanted = tuple(states)
        return await self._read(lambda engine: list_documents(engine, wanted, correlation_id, limit, before))

    async def _once(self, request: KeyedRequest | None, make: Callable[[IncidentTransaction], Incident]) -> Document:
        def change(transaction: IncidentTransaction) -> Incident:
            return once(
                transaction.db,
                transaction.now,
                request,
                lambda: make(transaction),
                lambda made: _found(transaction, made),
                lambda incident: incident.id,
            )

        return await self._change(change)

    async def _change(self, change: Callable[[IncidentTransaction], Incident]) -> Document:
        def transaction() -> str:
            with reachable(self._database), self._database.begin() as db:
                return change(IncidentTransaction(db, self._settings, self._clock())).id

        id = await for_writing(self._database, transaction)
        return await self.get(id)

    async def _read(self, query: Callable[[Engine], T]) -> T:
        def read() -> T:
            with reachable(self._database):
                return query(reading(self._database))

        return await for_reading(self._database, read)


def _found(transaction: IncidentTransaction, id: str) -> Incident:
    incident = find_incident(transaction.db, clip_text(id))
    if incident is None:
        raise _not_found(id)
    return incident


def _not_found(id: str) -> NotFound:
    return NotFound(
        f"no incident has the id {id!r}; `brain incidents list` or GET /api/incidents shows the incidents there are"
    )
