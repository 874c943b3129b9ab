"""What hardware reports to threats and immune: rows of the outbox, carried out through their protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from brain.charter import HealthKind, HealthSeverity, Severity
from brain.hardware.models import CONSUMER, RobotCommand
from brain.kit.outbox import Message, OutboxRow, put
from brain.kit.protocols import HealthReport, HealthReports, ThreatReport, ThreatReports
from brain.plugins import PluginContext

THREATS, HEALTH = "threats", "health"
HIJACK = "hardware_hijack"


def put_hijack(db: sa.Connection, command: RobotCommand, reason: str, now: float) -> None:
    """A command came without the lease: report it as a threat from that agent."""
    body = {"agent": command.agent, "robot": command.robot, "command": command.id, "reason": reason[:500]}
    _put(db, THREATS, command.agent[:200], f"hijack {command.id}", body, now)


def put_exhaustion(db: sa.Connection, limit: Mapping[str, Any], severity: HealthSeverity, now: float) -> None:
    """A limit was crossed, as its event says: report it to the fleet's health."""
    body = {"severity": severity.value, "limit": dict(limit)}
    _put(db, HEALTH, limit["device_id"], f"limit {limit['device_id']} {limit['metric']} {now}", body, now)


def _put(db: sa.Connection, channel: str, key: str, dedup: str, body: Mapping[str, Any], now: float) -> None:
    put(db, Message(consumer=CONSUMER, channel=channel, key=key, dedup=dedup, body=body), now)


class Reporting:
    """Carries out the rows; without an installed plug-in that takes them they are dropped, and the row says so."""

    def __init__(self, context: PluginContext) -> None:
        self._threats: ThreatReports | None = context.find(ThreatReports)
        self._health: HealthReports | None = context.find(HealthReports)

    async def deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        """Report what the row says; one that is done twice counts once. Raises Unavailable."""
        if row.channel == THREATS:
            return await self._report_hijack(row)
        return await self._report_exhaustion(row)

    async def _report_hijack(self, row: OutboxRow) -> Mapping[str, Any]:
        if self._threats is None:
            return {"note": "no installed plug-in provides ThreatReports"}
        body = row.body
        report = ThreatReport(
            type=HIJACK,
            source=body["agent"],
            severity=Severity.HIGH,
            description=f"{body['agent']} gave robot {body['robot']} a command without its lease: {body['reason']}",
            reading=body["command"],
            metadata={"robot_id": body["robot"], "agent_id": body["agent"]},
        )
        return {"threat": await self._threats.report(report)}

    async def _report_exhaustion(self, row: OutboxRow) -> Mapping[str, Any]:
        if self._health is None:
            return {"note": "no installed plug-in provides HealthReports"}
        limit = row.body["limit"]
        report = HealthReport(
            severity=HealthSeverity(row.body["severity"]),
            kind=HealthKind.RESOURCE_EXHAUSTION,
            module=CONSUMER,
            message=f"{limit['device_id']}: {limit['metric']} is {limit['value']:g}, its limit is {limit['limit']:g}",
            details=limit,
        )
        return {"number": await self._health.report(report, key=row.dedup)}
