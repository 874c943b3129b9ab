"""The immune module: is the fleet healthy, and does it heal itself?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.charter import HealthKind, HealthSeverity
    from brain.immune.healing import healing_action
    from brain.immune.health_summary import HealthStatus, HealthSummary
    from brain.immune.models import HealthEvent
    from brain.immune.service import ImmuneService
    from brain.kit.health_score import Reason
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.charter": ["HealthKind", "HealthSeverity"],
            "brain.immune.healing": ["healing_action"],
            "brain.immune.health_summary": ["HealthStatus", "HealthSummary"],
            "brain.immune.models": ["HealthEvent"],
            "brain.immune.service": ["ImmuneService"],
            "brain.kit.health_score": ["Reason"],
        },
    )

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
