"""Threats by plain functions, over one ThreatService of this process."""

from __future__ import annotations

from typing import Final

from brain.store import Store
from brain.stream.publisher import Publisher, check_publisher
from brain.threats.service import ThreatService

_service = ThreatService()

create_threat: Final = _service.create_threat
get_threat: Final = _service.get_threat
list_threats: Final = _service.list_threats
update_threat_status: Final = _service.update_threat_status
get_stats: Final = _service.get_stats


def set_event_stream(event_stream: Publisher | None) -> None:
    """Announce on this stream from now on; None announces nothing. Raises InvalidInput for what is no stream."""
    check_publisher(event_stream)
    _service.event_stream = event_stream


def set_store(store: Store | None) -> None:
    """Keep threats in this store from now on; None starts an empty one in memory. Nothing is copied over."""
    _service.use_store(store)
