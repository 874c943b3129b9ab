"""A stream without an event loop: at module level, in threads, and later in a loop all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from brain import Event, EventStream, ThreatService
from brain.errors import EnvelopeError, Unavailable
from support.ports import free_port


def event(n: int, type: str = "test.happened") -> Event:
    return Event(type=type, source="test_service", payload={"n": n})


def test_publish_wait_read_and_close(url: str, tmp_path: Path) -> None:
    with EventStream.open_sync(url, journal=tmp_path / "journal") as stream:
        receipts = [stream.publish(event(n)) for n in range(500)]
        positions = [receipt.wait(30) for receipt in (receipts[0], receipts[-1])]
        assert stream.flush(30)
        assert [stored.position for stored in stream.read_sync("test.*", limit=1)] == positions[:1]
        assert [stored.position for stored in stream.read_sync(newest_first=True, limit=1)] == positions[1:]
        assert [one.payload["n"] for one in stream.replay_sync("test.*")] == list(range(500))
        assert receipts[3].wait() != ""  # stored long ago
        with pytest.raises(EnvelopeError):
            stream.publish(event(0, type="No type")).wait()
    assert stream.is_closed()
    assert not (tmp_path / "journal").exists() or list((tmp_path / "journal").iterdir()) == []
    with pytest.raises(Unavailable, match="closed"):
        stream.publish(event(1)).wait()


def test_any_loop_may_use_it_later(url: str, tmp_path: Path) -> None:
    stream = EventStream.open_sync(url, journal=tmp_path / "journal")

    async def use(first: int) -> list[int]:
        found = []
        stream.publish(event(first))
        await stream.publish(event(first + 1))
        async for one in stream.subscribe("test.*", group="readers"):
            found.append(one.payload["n"])
            if len(found) == 2:
                break
        async for one in stream.subscribe("test.*", after=""):
            found.append(one.payload["n"])
            if len(found) == first + 4:
                return found
        raise AssertionError("the stream has ended")

    assert asyncio.run(use(0)) == [0, 1, 0, 1]
    assert asyncio.run(use(2))[2:] == [0, 1, 2, 3]
    stream.close_sync()
    stream.close_sync()


def test_services_are_asked_by_asyncio_run(url: str, tmp_path: Path) -> None:
    with EventStream.open_sync(url, journal=tmp_path / "journal") as stream:
        threats = ThreatService(event_stream=stream)
        for agent in ("a1", "a2"):
            asyncio.run(threats.create_threat(type="probe", source=agent, severity="HIGH", description="seen"))
        assert stream.flush(30)
        assert [one.target for one in stream.replay_sync("threat.detected")] != []
        assert len(asyncio.run(threats.list_threats())) == 2


def test_waiting_has_an_end(tmp_path: Path) -> None:
    stream = EventStream.open_sync(f"redis://127.0.0.1:{free_port()}/0", journal=tmp_path / "journal")
    receipt = stream.publish(event(1))
    assert receipt.refused is None
    with pytest.raises(Unavailable, match=r"not stored within 0\.01 s; it is journalled"):
        receipt.wait(0.01)
    assert not stream.flush(0.01)
    stream.close_sync(0.1)
    with pytest.raises(Unavailable, match="closed before"):
        receipt.wait(0.01)
