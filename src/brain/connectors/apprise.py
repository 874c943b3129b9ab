"""Anything else that can be told something: the hundred and more services that the package `apprise` knows.

Source: the package's own documentation (a service is named by a URL, such as `ntfy://topic` or `mailto://...`). Needs
the extra: pip install 'brain-eventstream[apprise]'. Apprise says that it failed and not why, and knows no key for a
message: whatever fails is tried again, and a message may come twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from brain.connectors.sender import TryLater
from brain.errors import InvalidInput
from brain.secret import Secret

if TYPE_CHECKING:
    import apprise

SERVICE = "apprise"
_TYPES = {"CRITICAL": "failure", "HIGH": "failure", "ERROR": "failure", "MEDIUM": "warning", "WARNING": "warning"}


class AppriseSettings(BaseModel):
    """One service, by its Apprise URL. Give several services a notifier each, so that one never repeats another's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Secret = Field(description="Apprise URL of the service; it holds the credentials")


class Notified(TypedDict):
    """That it worked; nothing more is known."""

    service: str


class Apprise:
    """Notifies one service."""

    def __init__(self, settings: AppriseSettings) -> None:
        self._settings = settings

    async def notify(self, title: str, text: str, severity: str = "") -> Notified:
        """Tell it. Raises TryLater when it did not work, InvalidInput for a URL that apprise does not know."""
        service = await asyncio.to_thread(_service, self._settings)  # its import alone takes seconds
        kind = _TYPES.get(severity.upper(), "info")
        if not await service.async_notify(body=text or title, title=title, notify_type=kind):
            raise TryLater(f"{SERVICE}: the service was not notified")
        return Notified(service=str(service[0].service_name))


def _service(settings: AppriseSettings) -> apprise.Apprise:
    try:
        import apprise
    except ImportError as error:
        raise InvalidInput("apprise: is not installed: pip install 'brain-eventstream[apprise]'") from error
    service = apprise.Apprise()
    if not service.add(settings.url.reveal()):
        raise InvalidInput("apprise url: is of no service that apprise knows; its wiki lists how each is written")
    return service
