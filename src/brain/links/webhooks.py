"""Webhooks that come in: their signature is checked before anything else is done with them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException

from brain.connectors.webhook import BadSignature
from brain.errors import NotFound
from brain.kit.database_threads import for_writing
from brain.links.receiving import Delivery, Receipt
from brain.links.service import ConnectorService
from brain.links.tasks import ConnectorTasks
from brain.logs import Log

log: Log = Log("brain.connectors")


class WebhookReceiver:
    """Receives deliveries over HTTP."""

    def __init__(self, service: ConnectorService, tasks: ConnectorTasks) -> None:
        self._service = service
        self._tasks = tasks

    async def receive(self, name: str, headers: Mapping[str, str], body: bytes, remote: str) -> Receipt:
        """Keep and map a delivery; returns once that is on the disk.

        Raises NotFound, BadSignature, HTTPException (413) for a body over the connector's bound, and Unavailable.
        """
        inbound = self._service.inbound.get(name)
        if inbound is None or not inbound.settings.secrets:
            raise NotFound(f"connector {name!r}: receives no webhooks here")
        if len(body) > inbound.settings.body_limit:
            raise HTTPException(413, f"the body is larger than {inbound.settings.body_limit} bytes")
        now = self._service.clock()
        try:
            inbound.check(headers, body, now)
        except BadSignature as error:
            self._tasks.refused(name, remote, str(error), now)
            raise
        receipt = await for_writing(
            self._service.database, self._service.receive, name, Delivery(headers, body, remote, now)
        )
        if receipt.error is not None:
            log.warning("a delivery could not be mapped; it is kept", connector=name, error=receipt.error)
        return receipt
