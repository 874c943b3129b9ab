"""Threats: who attacks or misbehaves, from detection to resolution.

Use a ThreatService, or the functions here, which use one service of this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.charter import Severity
    from brain.charter import ThreatStatus as Status
    from brain.lifecycle import THREAT_MOVES as MOVES
    from brain.threats.functions import (
        create_threat,
        get_stats,
        get_threat,
        list_threats,
        set_event_stream,
        set_store,
        update_threat_status,
    )
    from brain.threats.models import Threat, ThreatStats
    from brain.threats.service import ThreatService
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.charter": ["Severity", "ThreatStatus as Status"],
            "brain.lifecycle": ["THREAT_MOVES as MOVES"],
            "brain.threats.functions": [
                "create_threat",
                "get_stats",
                "get_threat",
                "list_threats",
                "set_event_stream",
                "set_store",
                "update_threat_status",
            ],
            "brain.threats.models": ["Threat", "ThreatStats"],
            "brain.threats.service": ["ThreatService"],
        },
    )

__all__ = [
    "MOVES",
    "Severity",
    "Status",
    "Threat",
    "ThreatService",
    "ThreatStats",
    "create_threat",
    "get_stats",
    "get_threat",
    "list_threats",
    "set_event_stream",
    "set_store",
    "update_threat_status",
]
