"""What plug-ins provide to each other, found through the context as a plug-in finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain import EventStream, ThreatService
from brain.charter import ThreatStatus
from brain.errors import Conflict, NotFound
from brain.kit import protocols
from brain.kit.context import plugin_context
from brain.kit.protocols import AuditProofs, ThreatMoves
from brain.plugins import plugins
from brain.settings import Settings
from brain.store.memory import MemoryStore
from support.waiting import until


def test_what_is_provided_is_a_protocol_of_the_kit() -> None:
    provided = {name for plugin in plugins().values() for name in plugin.provides}
    assert {"AuditProofs", "ThreatMoves"} <= provided
    assert all(hasattr(protocols, name) for name in provided)


async def test_threats_are_moved_without_importing_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    store = MemoryStore()
    async with EventStream.open(url) as stream:
        with plugin_context(stream, store, Settings(stream=url)) as context:
            moves = context.find(ThreatMoves)
            assert moves is not None
            threat = await ThreatService(stream, store).create_threat("ssh_brute_force", "203.0.113.77", "HIGH")
            assert await moves.status(threat.id) is ThreatStatus.OPEN
            await moves.move(threat.id, ThreatStatus.INVESTIGATING, "looking at it")
            assert await moves.status(threat.id) is ThreatStatus.INVESTIGATING
            with pytest.raises(Conflict):
                await moves.move(threat.id, ThreatStatus.OPEN, "no way back")
            assert await moves.status("thr_0") is None
            with pytest.raises(NotFound):
                await moves.move("thr_0", ThreatStatus.RESOLVED, "no such threat")
        await until(lambda: stream.stats()["backlog"] == 0)
        events = [event async for event in stream.replay("threat.status_changed")]
    assert [event.payload["reason"] for event in events] == ["looking at it"]


async def test_an_event_that_is_not_logged_has_no_proof(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    async with EventStream.open(url) as stream:
        with plugin_context(stream, MemoryStore(), Settings(stream=url)) as context:
            proofs = context.find(AuditProofs)
            assert proofs is not None
            assert proofs.find("evt_policy_1_0123456789ab") is None
