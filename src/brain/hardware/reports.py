"""What hardware reports to threats and immune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.charter import HealthKind, HealthSeverity, Severity
from brain.hardware.models import CONSUMER
from brain.kit.protocols import HealthReport, ThreatReport

HIJACK = "hardware_hijack"
"""The type of the threat."""


def hijack(agent: str, robot: str, command: str, reason: str) -> ThreatReport:
    """A command came without the lease."""
    said = f"{agent} gave robot {robot} a command without its lease: {reason[:500]}"
    return ThreatReport(HIJACK, agent, Severity.HIGH, said, command, {"robot_id": robot, "agent_id": agent})


def exhaustion(limit: Mapping[str, Any], severity: HealthSeverity) -> HealthReport:
    """A limit was crossed, as its event says."""
    message = f"{limit['device_id']}: {limit['metric']} is {limit['value']:g}, its limit is {limit['limit']:g}"
    return HealthReport(severity, HealthKind.RESOURCE_EXHAUSTION, CONSUMER, message, dict(limit))
