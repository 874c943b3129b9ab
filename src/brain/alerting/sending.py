"""The notifiers for other plug-ins' messages: they find them as Notifiers."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from brain.alerting.settings import AlertingSettings
from brain.connectors.notifiers import open_notifier
from brain.connectors.pages import Page
from brain.connectors.sender import RetryPolicy, Sender
from brain.errors import Unavailable
from brain.extras import require_extras
from brain.kit.protocols import Notifiers
from brain.plugins import PluginContext


class SettingsNotifiers:
    """The notifiers of `[alerting.notifiers]`."""

    def __init__(self, settings: AlertingSettings) -> None:
        self._tables = settings.notifiers
        self._sender = Sender(RetryPolicy(attempts=2, timeout=settings.send_timeout / 4, wait=0.2))

    def names(self) -> Collection[str]:
        """The notifiers of the settings, by name."""
        return self._tables.keys()

    async def send(self, name: str, page: Page) -> Mapping[str, Any]:
        """Send the page. Raises Refused, TryLater, and Unavailable for a notifier that is not there."""
        require_extras("[alerting.notifiers]", "connectors")
        table = self._tables.get(name)
        if table is None:
            raise Unavailable(f"notifier {name!r} is gone from alerting.notifiers; add it again")
        return await open_notifier(table, self._sender, time.time).send(page)

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()


def notifiers(context: PluginContext) -> Notifiers:
    """The notifiers of this process's settings."""
    return SettingsNotifiers(context.table(AlertingSettings))
