"""Threats: who attacks or misbehaves, from detection to resolution.

Use a ThreatService, or the functions here, which use one service of this process.
"""

from __future__ import annotations

from brain.charter import Severity
from brain.charter import ThreatStatus as Status
from brain.lifecycle import THREAT_MOVES as MOVES
from brain.store import Store
from brain.stream.publisher import Publisher
from brain.threats.models import Threat, ThreatStats
from brain.threats.service import ThreatService

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

_service = ThreatService()

create_threat = _service.create_threat
get_threat = _service.get_threat
list_threats = _service.list_threats
update_threat_status = _service.update_threat_status
get_stats = _service.get_stats


def set_event_stream(event_stream: Publisher | None) -> None:
    """Announce on this stream from now on; None announces nothing."""
    _service.event_stream = event_stream


def set_store(store: Store | None) -> None:
    """Keep threats in this store from now on; None starts an empty one in memory. Nothing is copied over."""
    _service.use_store(store)
