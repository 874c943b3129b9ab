"""Webhooks of the ticket systems: who signed one is checked, and the ticket it names is looked at.

Jira Cloud signs with HMAC-SHA256 of the body under the webhook's secret, as `X-Hub-Signature: sha256=<hex>`
(developer.atlassian.com/cloud/jira/platform/webhooks, "Secure admin webhooks"). ServiceNow has nothing of its own: a
business rule signs as Standard Webhooks does, for which its `GlideCertificateEncryption.generateMac` is enough.
docs/incidents.md has both set-ups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from brain.connectors.webhook import BadSignature, verify, verify_hub
from brain.errors import InvalidInput, NotFound
from brain.incidents import tables
from brain.incidents.mirroring import enqueue
from brain.incidents.settings import IncidentSettings
from brain.kit.database import reachable
from brain.logs import Log
from brain.secret import Secret

log = Log("brain.incidents")

EXAMPLE_WEBHOOK: dict[str, Any] = {
    "timestamp": 1703001834567,
    "webhookEvent": "jira:issue_updated",
    "issue": {"id": "10017", "key": "OPS-17"},
}


class Webhooks:
    """Takes webhooks. `clock` gives Unix seconds; `changed` is called when the outbox has a new row."""

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._changed = changed

    async def take(self, system: str, headers: Mapping[str, str], body: bytes) -> tuple[str, bool]:
        """The ticket that the webhook names, and whether it is ours; if so it will be looked at.

        Raises NotFound when no secret is set for the system, BadSignature, and InvalidInput when it names no ticket.
        """
        secret = self._secret(system)
        if secret is None:
            raise NotFound(f"system: no webhooks of {system!r}; set incidents.{system}.webhook_secret to take them")
        try:
            if system == "jira":
                verify_hub(secret, headers, body)
            else:
                verify([secret], headers, body, self._clock())
        except BadSignature as error:
            log.warning("webhook refused", system=system, reason=str(error))
            raise
        key = _key(system, body)
        known = await asyncio.to_thread(self._look, system, key)
        self._changed()
        return key, known

    def _secret(self, system: str) -> Secret | None:
        found = {"jira": self._settings.jira, "servicenow": self._settings.servicenow}.get(system)
        return None if found is None else found.webhook_secret

    def _look(self, system: str, key: str) -> bool:
        """Put the ticket's row up; a webhook that comes while it waits changes nothing."""
        table = tables.mirrors
        with reachable(self._database), self._database.begin() as db:
            mine = select(table.c.incident).where(table.c.system == system, table.c.key == key)
            incident = db.execute(mine).scalar()
            if incident is not None:
                enqueue(db, incident, self._clock(), self._settings.comment_seconds, urgent=True, system=system)
        return incident is not None


def _key(system: str, body: bytes) -> str:
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"body: is not JSON: {error}") from error
    told = told if isinstance(told, dict) else {}
    issue = told.get("issue")
    key = (issue.get("key") if isinstance(issue, dict) else None) if system == "jira" else told.get("number")
    if not isinstance(key, str) or not 1 <= len(key) <= 200 or "\0" in key:
        field = "issue.key" if system == "jira" else "number"
        raise InvalidInput(f"{field}: must name the ticket that changed")
    return key
