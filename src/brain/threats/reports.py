"""Threats that other plug-ins report: they find this as ThreatReports and do not import this plug-in."""

from __future__ import annotations

import time

from brain.kit.protocols import ThreatReport, ThreatReports
from brain.plugins import PluginContext
from brain.threats.service import ThreatService
from brain.threats.sightings import Sighting


class ServiceReports:
    """The ThreatReports of one ThreatService."""

    def __init__(self, service: ThreatService) -> None:
        self._service = service

    async def report(self, report: ThreatReport) -> str:
        """The id of the threat that this report made or joined. Raises InvalidInput and Unavailable."""
        sighting = Sighting(
            key=f"{report.type} {report.source}",
            type=report.type,
            source=report.source,
            reading=report.reading,
            counts={"reports": report.count},
            last_seen=time.time() if report.last_seen is None else report.last_seen,
            grade=lambda counts: report.severity,
            describe=lambda counts: report.description,
            metadata=report.metadata,
        )
        return (await self._service.record_sighting(sighting)).threat.id


def threat_reports(context: PluginContext) -> ThreatReports:
    """Reports to the threats of this process's store, announced on its stream."""
    return ServiceReports(ThreatService(context.stream, context.store))
