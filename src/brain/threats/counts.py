"""How many threats are open, for other plug-ins: they find it as OpenThreatCounts and do not import this one."""

from __future__ import annotations

from collections.abc import Mapping

from brain.charter import Severity
from brain.kit.protocols import OpenThreatCounts
from brain.plugins import PluginContext
from brain.threats.service import ThreatService


class ServiceCounts:
    """The OpenThreatCounts of one ThreatService."""

    def __init__(self, service: ThreatService) -> None:
        self._service = service

    def by_severity(self) -> Mapping[Severity, int] | None:
        """How many wait to be mitigated; None when there never was any threat. Blocks. Raises Unavailable."""
        return self._service.count_open()


def open_threat_counts(context: PluginContext) -> OpenThreatCounts:
    """The threats of this process's store."""
    return ServiceCounts(ThreatService(context.stream, context.store))
