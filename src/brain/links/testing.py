"""Tests of a connector that a person asks for: is what it needs there, and does its service answer?"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from brain.connectors.notifiers import Notifier
from brain.connectors.sender import Refused, TryLater
from brain.errors import InvalidInput
from brain.kit.database_threads import for_writing
from brain.links.kinds import SINGER
from brain.links.models import ConnectorStatus
from brain.links.outbound import probe
from brain.links.service import ConnectorService
from brain.links.settings import InboundSettings
from brain.links.signatures import check_secret


async def test_connector(
    service: ConnectorService, senders: Mapping[str, Notifier[Any]], name: str
) -> tuple[ConnectorStatus, str, float | None]:
    """The status, what was tested, and how many milliseconds the service took. Raises NotFound and Conflict."""
    service.check_own(name)
    detail, error, latency = "", None, None
    try:
        if name in service.inbound:
            detail = _inbound(service.inbound[name].settings)
        else:
            detail, latency = await probe(senders[name])
    except (InvalidInput, TryLater, Refused) as caught:
        error = str(caught)
    status = await for_writing(service.database, service.tested, name, error, detail, latency)
    return status, error or detail, latency


def _inbound(settings: InboundSettings) -> str:
    """What was tested. Raises InvalidInput."""
    if settings.kind == SINGER:
        if settings.command and shutil.which(settings.command[0]) is None:
            raise InvalidInput(f"command: {settings.command[0]!r} is not there; install the tap, or write its path")
        return "the tap's command is there" if settings.command else "the tap is read from standard input"
    for secret in settings.secrets:
        check_secret(secret)
    return f"{len(settings.secrets)} secret can be read" if len(settings.secrets) == 1 else "both secrets can be read"
