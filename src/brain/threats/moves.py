"""The status of threats, for other plug-ins: they find it as ThreatMoves and do not import this one."""

from __future__ import annotations

from brain.charter import ThreatStatus
from brain.errors import NotFound
from brain.kit.protocols import ThreatMoves
from brain.plugins import PluginContext
from brain.threats.service import ThreatService


class ServiceMoves:
    """The ThreatMoves of one ThreatService."""

    def __init__(self, service: ThreatService) -> None:
        self._service = service

    async def status(self, threat_id: str) -> ThreatStatus | None:
        """The threat's status; None when no threat has this id. Raises Unavailable."""
        try:
            return (await self._service.get_threat(threat_id)).status
        except NotFound:
            return None

    async def move(self, threat_id: str, status: ThreatStatus, reason: str) -> None:
        """Move the threat and publish that. Raises NotFound, Conflict and Unavailable."""
        await self._service.update_threat_status(threat_id, status, reason)


def threat_moves(context: PluginContext) -> ThreatMoves:
    """The threats of this process's store, announced on its stream."""
    return ServiceMoves(ThreatService(context.stream, context.store))
