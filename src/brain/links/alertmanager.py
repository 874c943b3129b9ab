"""Alertmanager's API v2: alerts posted one a request, and what it has of them read back.

One alert a request: of several, it keeps the good ones although it answers 400 for a bad one. An alert is posted with
the time of its end, and ends by itself then; resolving it posts the same labels with an end that is now.
Facts: prometheus.io "Alertmanager", api/v2/openapi.yaml of version 0.25.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from brain.connectors.notifiers import Notifier, NotifierSettings
from brain.connectors.pages import Page, PageAction
from brain.connectors.sender import Answer, json_request
from brain.links.settings import AlertmanagerSettings
from brain.neutral import plain_text

SERVICE = "Alertmanager"
_NO_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class Alertmanager(Notifier[AlertmanagerSettings]):
    """Posts alerts to one Alertmanager."""

    settings_model: ClassVar[type[NotifierSettings]] = AlertmanagerSettings

    async def send(self, page: Page) -> Mapping[str, Any]:
        """Fire or resolve the alert of the page's `dedup_key`; its acknowledgement is nothing there."""
        if page.action is PageAction.ACKNOWLEDGE:
            return {"note": "Alertmanager knows no acknowledgement"}
        answer = await self._ask("POST", "/api/v2/alerts", [self.alert(page)])
        return {"status": answer.status}

    async def version(self) -> str:
        """Its version. Raises TryLater and Refused."""
        found = (await self._ask("GET", "/api/v2/status")).json()
        return str(found["versionInfo"]["version"])

    async def groups(self) -> list[dict[str, Any]]:
        """The groups of the alerts that fire there now, as it describes them. Raises TryLater and Refused."""
        path = "/api/v2/alerts/groups?active=true"
        found: list[dict[str, Any]] = (await self._ask("GET", path)).json()
        return found

    def alert(self, page: Page) -> dict[str, Any]:
        """The alert as it is posted. The labels name it, so they are the same whenever it is sent."""
        now = self._clock()
        labels = {**self._settings.labels, **page.labels}
        named = {"alertname": page.labels.get("alertname") or page.dedup_key, "severity": page.severity.value.lower()}
        end = now if page.action is PageAction.RESOLVE else now + self._settings.firing_seconds
        return {
            "labels": {_label(name): str(value) for name, value in {**labels, **named}.items() if str(value)},
            "annotations": {"summary": plain_text(page.summary), "description": plain_text(page.text())},
            "startsAt": _time(min(page.at, end)),
            "endsAt": _time(end),
        }

    async def _ask(self, method: str, path: str, content: object = None) -> Answer:
        token = self._settings.token
        headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
        request = json_request(method, f"{self._settings.url}{path}", content, headers=headers)
        return await self._sender.send(SERVICE, request)


def _label(name: str) -> str:
    """A name that Alertmanager takes."""
    plain = _NO_LABEL.sub("_", name)
    return f"_{plain}" if plain[:1].isdigit() else plain


def _time(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds")
