"""Apprise: the hundred and more other services that the package `apprise` can send to.

Source: the package's own documentation (a service is named by a URL, such as `ntfy://topic` or `mailto://...`). Needs
the extra: pip install 'brain-eventstream[apprise]'. Apprise reports a failure without its reason, and has no key
for a message: every failure is tried again, and a message may come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from pydantic import Field

from brain.connectors.notifiers import Notifier, NotifierSettings
from brain.connectors.pages import Page
from brain.connectors.sender import TryLater
from brain.errors import InvalidInput
from brain.extras import needs
from brain.neutral import chat_text
from brain.secret import Secret
from brain.text import one_line

if TYPE_CHECKING:
    import apprise

SERVICE = "apprise"
_TITLE_CHARACTERS = 250
_TYPES = {"CRITICAL": "failure", "HIGH": "failure", "ERROR": "failure", "MEDIUM": "warning", "WARNING": "warning"}


class AppriseSettings(NotifierSettings):
    """One service, by its Apprise URL. Give several services a notifier each, so that one never repeats another's."""

    url: Secret = Field(description="Apprise URL of the service; it holds the credentials")


class AppriseAnswer(TypedDict):
    """That it worked; nothing more is known."""

    service: str


class Apprise(Notifier[AppriseSettings]):
    """Notifies one service."""

    settings_model: ClassVar[type[AppriseSettings]] = AppriseSettings

    async def send(self, page: Page) -> Mapping[str, Any]:
        """Send title and text. Apprise cannot tell a message that is sent twice."""
        return {**await self.notify(page.title, page.text_with_links(), page.severity)}

    async def notify(self, title: str, text: str, severity: str = "") -> AppriseAnswer:
        """Send it. Raises TryLater when apprise reports a failure, InvalidInput for a URL that it does not know."""
        service = await asyncio.to_thread(_service, self._settings)  # its import alone takes seconds
        kind = _TYPES.get(severity.upper(), "info")
        if not await service.async_notify(notify_type=kind, **shown(title, text)):
            raise TryLater(f"{SERVICE}: the service was not notified; check the URL and the service")
        return AppriseAnswer(service=str(service[0].service_name))


def shown(title: str, text: str) -> dict[str, str]:
    """What Apprise is to show: as plain text. It escapes that for some services, and lets all of them call people."""
    line = chat_text(one_line(title, _TITLE_CHARACTERS))
    return {"title": line, "body": chat_text(text or title), "body_format": "text"}


def _service(settings: AppriseSettings) -> apprise.Apprise:
    with needs("a notifier of the kind apprise", "apprise"):
        import apprise
    service = apprise.Apprise()
    if not service.add(settings.url.reveal()):
        raise InvalidInput(
            "apprise url: apprise knows no service of this form; its wiki lists the form of each service"
        )
    return service
