"""A critical incident runs its healing action, once, and what came of it is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from brain import Event, HealthEvent, ImmuneService
from brain.errors import InvalidInput
from brain.immune import HealthKind, HealthSeverity, healing
from brain.immune.healing import ACTIONS, COLLECTION, STALE_AFTER, Healing, HealingAction, healing_action
from brain.kit import healing as kit_healing
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from support.clock import Clock


class Fleet:
    """An immune service whose critical events go to the healing, as the consumer group brings them."""

    def __init__(self, stream: RecordingStream, action: HealingAction | None, timeout: float = 5.0) -> None:
        self.stream = stream
        self.clock = Clock()
        self.store = MemoryStore()
        self.immune = ImmuneService(stream, self.store, self.clock)
        actions = {} if action is None else {HealthKind.AGENT_FAILURE: action}
        self.healing = Healing(self.immune, self.store, actions, timeout=timeout)

    async def fail(self) -> Event:
        await self.immune.publish_event(
            HealthEvent(HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE, "billing", "gone", {"n": 1}, "story")
        )
        return self.stream.get_events_by_type("immune.critical_event")[-1]

    def healings(self) -> list[HealthEvent]:
        return self.immune.get_recent_events(kind=HealthKind.SELF_HEALING_ACTION)


async def restart(incident: HealthEvent) -> str:
    return f"restarted {incident.module}, {incident.kind} {incident.id}, {incident.details}"


async def test_an_incident_is_healed_in_its_own_story(recording_stream: RecordingStream) -> None:
    fleet = Fleet(recording_stream, restart)
    await fleet.healing.handle(await fleet.fail())
    [healed] = fleet.healings()
    assert healed.message == "restarted billing, AGENT_FAILURE 1, {'n': 1}"
    assert (healed.severity, healed.module, healed.correlation_id) == (HealthSeverity.INFO, "billing", "story")
    assert healed.details == {"heals": 1, "action": "restart", "outcome": "healed"}
    assert [event.type for event in recording_stream.events] == [
        "immune.event_published",
        "immune.critical_event",
        "immune.event_published",
    ]
    assert {event.correlation_id for event in recording_stream.events} == {"story"}
    assert fleet.immune.health_summary().score == 95


async def test_a_plain_function_does_not_block_the_loop(recording_stream: RecordingStream) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()

    def plain(incident: HealthEvent) -> str:
        asyncio.run_coroutine_threadsafe(released.wait(), loop).result(60)
        return "done by hand"

    fleet = Fleet(recording_stream, plain)
    handling = asyncio.create_task(fleet.healing.handle(await fleet.fail()))
    released.set()
    await handling
    assert fleet.healings()[0].message == "done by hand"


async def test_the_same_incident_delivered_again_is_not_healed_again(recording_stream: RecordingStream) -> None:
    fleet = Fleet(recording_stream, restart)
    incident = await fleet.fail()
    for _ in range(3):
        await fleet.healing.handle(incident)
    assert len(fleet.healings()) == 1
    await fleet.healing.handle(await fleet.fail())
    assert [healed.details["heals"] for healed in fleet.healings()] == [3, 1]


async def test_an_action_that_raises_or_hangs_is_told_as_failed(recording_stream: RecordingStream) -> None:
    async def broken(incident: HealthEvent) -> str:
        raise ConnectionError("no supervisor")

    async def hanging(incident: HealthEvent) -> str:
        await asyncio.Event().wait()
        return "never"

    async def out_of_time_itself(incident: HealthEvent) -> str:
        raise TimeoutError("its own")

    told = []
    for action in (broken, hanging, out_of_time_itself):
        fleet = Fleet(recording_stream, action, timeout=0.05)
        await fleet.healing.handle(await fleet.fail())
        [failed] = fleet.healings()
        assert (failed.severity, failed.details["outcome"]) == (HealthSeverity.WARNING, "failed")
        told.append((failed.message, failed.details["error"]))
    assert told == [
        ("broken failed: no supervisor", "ConnectionError: no supervisor"),
        ("hanging failed: took more than 0.05 s", "TimeoutError: took more than 0.05 s"),
        ("out_of_time_itself failed: its own", "TimeoutError: its own"),
    ]


async def test_nothing_is_done_without_an_action_or_when_it_is_too_late(recording_stream: RecordingStream) -> None:
    fleet = Fleet(recording_stream, None)
    await fleet.healing.handle(await fleet.fail())
    fleet = Fleet(recording_stream, restart)
    incident = await fleet.fail()
    fleet.clock.advance(STALE_AFTER + 1)
    await fleet.healing.handle(incident)
    assert fleet.healings() == []


async def test_what_is_remembered_of_the_past_is_bounded(recording_stream: RecordingStream) -> None:
    fleet = Fleet(recording_stream, restart)
    for _ in range(60):
        await fleet.healing.handle(await fleet.fail())
        fleet.clock.advance(STALE_AFTER / 4)
    assert len(fleet.store.scan(COLLECTION)) <= 10


def test_actions_are_registered_by_kind_and_healing_itself_cannot_be() -> None:
    assert healing_action(HealthKind.ERROR_SPIKE)(restart) is restart
    try:
        assert ACTIONS[HealthKind.ERROR_SPIKE] is restart
    finally:
        del ACTIONS[HealthKind.ERROR_SPIKE]
    with pytest.raises(InvalidInput, match="SELF_HEALING_ACTION cannot be healed"):
        healing_action(HealthKind.SELF_HEALING_ACTION)


async def test_healing_takes_time_from_the_services_clock() -> None:
    healing = Healing(ImmuneService(), MemoryStore())
    assert abs(healing._clock() - time.time()) < 5


def test_other_plug_ins_see_which_kinds_are_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(kit_healing.ACTIONS, HealthKind.AGENT_FAILURE, raising=False)
    assert not kit_healing.is_healed("AGENT_FAILURE")
    monkeypatch.setitem(kit_healing.ACTIONS, HealthKind.AGENT_FAILURE, lambda incident: "restarted")
    assert kit_healing.is_healed("AGENT_FAILURE")
    assert healing.ACTIONS is kit_healing.ACTIONS
