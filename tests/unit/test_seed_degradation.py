"""The specification's degradation tests: each module works, and quickly, whatever its stream does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from brain import EventStream, HealthEvent, ImmuneService, PolicyEngine, ThreatService
from brain.immune import HealthKind, HealthSeverity
from brain.stream.publisher import Publisher, failures
from support.policies import CONTEXT, guests_rule
from support.ports import free_port
from support.streams import HangingStream, RaisingStream


@dataclass
class Broken:
    """A stream that does not work, and how the loss of events shows."""

    stream: Publisher | None
    kind: str

    def lost(self) -> int:
        """How many events are known to be lost, or (Redis away) kept back for later."""
        if not isinstance(self.stream, EventStream):
            return failures.total()
        return self.stream.stats()["refused"] + self.stream.stats()["backlog"]


@pytest.fixture(params=["absent", "raising", "hanging", "sqlite closed", "redis away"])
async def broken(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broken]:
    kind: str = request.param
    if kind == "sqlite closed":
        stream = await EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}")
        await stream.close()
        yield Broken(stream, kind)
    elif kind == "redis away":
        stream = await EventStream.open(f"redis://127.0.0.1:{free_port()}/0", journal=tmp_path / "journal")
        yield Broken(stream, kind)
        await stream.close(timeout=0.0)
    else:
        yield Broken({"absent": None, "raising": RaisingStream(), "hanging": HangingStream()}[kind], kind)


async def test_policy_decides_without_a_working_stream(broken: Broken) -> None:
    before = broken.lost()
    engine = PolicyEngine(event_stream=broken.stream)
    began = time.monotonic()
    engine.add_rule(guests_rule())
    decision = engine.evaluate(CONTEXT)
    engine.disable_rule("guests")
    assert time.monotonic() - began < 2
    assert (decision.allowed, decision.rule_id) == (False, "guests")
    assert not engine.rules()[0].enabled
    # An engine is not async: it cannot wait to see that a coroutine hangs.
    assert broken.lost() - before == {"absent": 0, "hanging": 0}.get(broken.kind, 4)


async def test_threats_are_handled_without_a_working_stream(broken: Broken) -> None:
    before = broken.lost()
    service = ThreatService(broken.stream)
    began = time.monotonic()
    threat = await service.create_threat("port_scan", "10.0.0.9")
    await service.update_threat_status(threat.id, "MITIGATED")
    assert time.monotonic() - began < 2
    assert (await service.get_threat(threat.id)).status == "MITIGATED"
    assert (await service.get_stats()).mitigated == 1
    assert broken.lost() - before == (0 if broken.kind == "absent" else 3)


async def test_health_is_recorded_without_a_working_stream(broken: Broken) -> None:
    before = broken.lost()
    service = ImmuneService(event_stream=broken.stream)
    began = time.monotonic()
    number = await service.publish_event(HealthEvent(HealthSeverity.CRITICAL, HealthKind.ERROR_SPIKE, "api", "errors"))
    assert time.monotonic() - began < 2
    assert number == 1
    assert service.health_summary().by_severity["CRITICAL"] == 1
    assert broken.lost() - before == (0 if broken.kind == "absent" else 2)
