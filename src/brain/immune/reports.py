"""Health events that other plug-ins report: they find this as HealthReports and do not import this plug-in."""

from __future__ import annotations

from brain.immune.models import HealthEvent
from brain.immune.service import ImmuneService
from brain.kit.protocols import HealthReport, HealthReports
from brain.plugins import PluginContext


class ServiceReports:
    """The HealthReports of one ImmuneService."""

    def __init__(self, service: ImmuneService) -> None:
        self._service = service

    async def report(self, report: HealthReport, *, key: str | None = None) -> int:
        """The number of the health event. Raises InvalidInput and Unavailable."""
        event = HealthEvent(
            report.severity, report.kind, report.module, report.message, dict(report.details), report.correlation_id
        )
        return await self._service.publish_event(event, key=key)


def health_reports(context: PluginContext) -> HealthReports:
    """Reports to the health events of this process's store, announced on its stream."""
    return ServiceReports(ImmuneService(context.stream, context.store))
