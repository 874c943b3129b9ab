"""Webhooks of the ticket systems: the system checks the signature and names the ticket, whose update is then queued."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, or_, select

from brain.connectors.tickets import TicketSystem
from brain.connectors.webhook import BadSignature
from brain.errors import NotFound
from brain.incidents import tables
from brain.incidents.settings import IncidentSettings
from brain.incidents.ticket_queue import enqueue
from brain.kit.database import reachable
from brain.kit.database_threads import for_writing
from brain.logs import Log

log: Log = Log("brain.incidents")


class TicketWebhooks:
    """Receives webhooks. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        systems: Mapping[str, TicketSystem[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._settings = settings
        self._systems = systems
        self._clock = clock

    async def receive(self, kind: str, headers: Mapping[str, str], body: bytes) -> tuple[str, bool]:
        """The key of the ticket that the webhook names, and whether it is the ticket of an incident.

        Raises NotFound when no secret is set for this kind, BadSignature, and InvalidInput when it names no ticket.
        """
        table = self._settings.systems.get(kind)
        if table is None or table.webhook_secret is None:
            raise NotFound(
                f"system: no webhooks are received from {kind!r}; set incidents.{kind}.webhook_secret to receive them"
            )
        try:
            key = self._systems[kind].read_webhook(headers, body, self._clock())
        except BadSignature as error:
            log.warning("a webhook was refused", system=kind, reason=str(error))
            raise
        known = await for_writing(self._database, self._queue, kind, key, self._systems[kind].webhook_id(body))
        return key, known

    def _queue(self, kind: str, key: str, id: str | None) -> bool:
        """Queue an update of the ticket; a webhook that comes while one waits changes nothing.

        A ticket that was moved has another key; its id stays.
        """
        table = tables.mirrors
        with reachable(self._database), self._database.begin() as db:
            named = or_(table.c.ticket_key == key, table.c.ticket_id == id) if id else table.c.ticket_key == key
            mine = select(table.c.incident).where(table.c.system == kind, named)
            incident = db.execute(mine).scalar()
            if incident is not None:
                enqueue(db, incident, self._clock(), self._settings.comment_seconds, urgent=True, system=kind)
        return incident is not None
