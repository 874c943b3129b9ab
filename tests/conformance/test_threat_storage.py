"""Threats on every store: kept over a restart, and no update lost between processes."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from brain.errors import Conflict
from brain.store import Store, open_store
from brain.threats import MOVES, Status, ThreatService


@pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)
async def test_threats_survive_a_restart_in_every_detail(url: str) -> None:
    store = open_store(url)
    service = ThreatService(store=store)
    threat = await service.create_threat("t", "10.0.0.1 ≠ ü", "CRITICAL", "what", {"nested": {"a": [1, None, "x"]}})
    threat = await service.update_threat_status(threat.id, "ESCALATED", "why")
    threat = await service.update_threat_status(threat.id, "MITIGATED")
    store.close()
    store = open_store(url)
    again = ThreatService(store=store)
    assert await again.get_threat(threat.id) == threat
    assert (await again.get_stats()).mitigated == 1
    store.close()


@pytest.mark.parametrize("url", ["memory", "sqlite", "redis"], indirect=True)
async def test_moves_through_several_services_lose_no_update(url: str, store: Store) -> None:
    # Separate stores are what separate processes have; in memory there can only be one.
    stores = [store] * 3 if url == "memory://" else [open_store(url) for _ in range(3)]
    services = [ThreatService(store=each) for each in stores]
    threat = await services[0].create_threat("t", "s")

    async def wander(service: ThreatService, number: int) -> int:
        made = 0
        for turn in range(10):
            current = await service.get_threat(threat.id)
            choices = [status for status in MOVES[current.status] if status not in (Status.RESOLVED, Status.IGNORED)]
            try:
                await service.update_threat_status(threat.id, choices[(turn + number) % len(choices)])
                made += 1
            except Conflict:
                continue
        return made

    made = sum(await asyncio.gather(*(wander(service, number) for service in services for number in range(3))))
    history = (await services[0].get_threat(threat.id)).history
    assert len(history) == made > 1
    assert all(later.old is earlier.new for earlier, later in itertools.pairwise(history))
    for each in stores:
        each.close()
