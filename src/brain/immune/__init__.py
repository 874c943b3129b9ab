"""The immune module: is the fleet healthy, and does it heal itself?"""

from __future__ import annotations

from brain.charter import HealthKind, HealthSeverity
from brain.immune.healing import healing_action
from brain.immune.health import HealthStatus, HealthSummary
from brain.immune.models import HealthEvent
from brain.immune.service import ImmuneService
from brain.kit.health_score import Reason

__all__ = [
    "HealthEvent",
    "HealthKind",
    "HealthSeverity",
    "HealthStatus",
    "HealthSummary",
    "ImmuneService",
    "Reason",
    "healing_action",
]
