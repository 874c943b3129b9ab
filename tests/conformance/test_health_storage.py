"""Health events on every store: kept over a restart, numbered across processes, bounded."""

from __future__ import annotations

import asyncio

import pytest

from brain.immune import HealthEvent, HealthKind, HealthSeverity, ImmuneService
from brain.immune.repository import COLLECTION
from brain.store import open_store

EVENT = HealthEvent(HealthSeverity.CRITICAL, HealthKind.ERROR_SPIKE, "api ≠ ü", "what", {"rate": [0.5, None]}, "story")


@pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)
async def test_health_events_survive_a_restart(url: str) -> None:
    store = open_store(url)
    service = ImmuneService(store=store)
    await service.publish_event(EVENT)
    before = service.get_recent_events(), service.health_summary()
    store.close()
    store = open_store(url)
    service = ImmuneService(store=store)
    assert (service.get_recent_events(), service.health_summary()) == before
    assert await service.publish_event(EVENT) == 2
    store.close()


@pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)
async def test_several_services_number_and_prune_together(url: str) -> None:
    stores = [open_store(url) for _ in range(3)]
    services = [ImmuneService(store=store, keep=20) for store in stores]
    numbers = await asyncio.gather(*(service.publish_event(EVENT) for service in services for _ in range(15)))
    assert sorted(numbers) == list(range(1, 46))
    assert [event.id for event in services[1].get_recent_events()] == list(range(45, 25, -1))
    # One that got its number early and was stored late may outlive its turn, until the next service starts.
    await ImmuneService(store=stores[0], keep=20).publish_event(EVENT)
    assert [document.key for document in stores[0].scan(COLLECTION)] == [f"{number:012d}" for number in range(27, 47)]
    for store in stores:
        store.close()
