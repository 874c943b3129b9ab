"""The keys that incidents read of other plug-ins' events are keys that those plug-ins declare."""

from __future__ import annotations

import msgspec
import pytest

from brain import Event
from brain.errors import EnvelopeError
from brain.incidents.source_events import PAYLOADS, DetectedThreat, read_payload
from brain.plugins import catalogue


@pytest.mark.parametrize("name", PAYLOADS)
def test_the_declared_example_has_every_key_that_is_read(name: str) -> None:
    declared = catalogue()[name]
    found = read_payload(Event(type=name, source=declared.source, payload=declared.example), PAYLOADS[name])
    assert msgspec.structs.asdict(found).items() <= declared.example.items()


def test_a_payload_without_a_key_names_it() -> None:
    event = Event(type="threat.detected", source="threats_service", payload={"threat_id": "thr_1"})
    with pytest.raises(EnvelopeError, match=r"payload of threat\.detected: .*`type`"):
        read_payload(event, DetectedThreat)
