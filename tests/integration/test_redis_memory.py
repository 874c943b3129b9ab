"""A Redis that comes back with less memory than it had: what no group has read is shipped again, unasked."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from brain import Event, EventStream
from brain.stream import DeliveryOptions
from support.redis_server import RedisServer, until


def event(number: int) -> Event:
    return Event(type="policy.rule_created", source="policy_service", payload={"number": number})


async def publish(stream: EventStream, numbers: range) -> None:
    receipts = [stream.publish(event(number)) for number in numbers]
    await asyncio.wait_for(asyncio.gather(*receipts), 60)


def hold(stream: EventStream) -> None:
    """A group that has read nothing yet, so that all of it is still wanted."""
    stream.backend.create_group("slow", "*", "")


async def received(stream: EventStream, count: int) -> list[int]:
    numbers: list[int] = []
    stream.consumer("slow", "*", lambda event: numbers.append(event.payload["number"]))
    consuming = asyncio.create_task(stream.run_consumers())
    await asyncio.to_thread(until, lambda: len(set(numbers)) >= count)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    return list(dict.fromkeys(numbers))


async def test_empty_while_the_producer_is_idle(redis_server: RedisServer, tmp_path: Path) -> None:
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        hold(stream)
        await publish(stream, range(10))
        await asyncio.to_thread(redis_server.restart, empty=True)
        assert await received(stream, 10) == list(range(10))


async def test_empty_after_the_producer_has_ended(redis_server: RedisServer, tmp_path: Path) -> None:
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        hold(stream)
        await publish(stream, range(10))
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        # The successor takes the journal up and finds all of it stored; then the server forgets.
        await asyncio.to_thread(until, lambda: bool(stream._shipper and stream._shipper._orphans))
        await asyncio.to_thread(until, lambda: stream._shipper._orphans[0]._complete_at is not None)  # type: ignore[union-attr]
        await asyncio.to_thread(redis_server.restart, empty=True)
        assert await received(stream, 10) == list(range(10))


@pytest.mark.parametrize("later", [0, 5])
async def test_an_older_copy_is_put_back(later: int, redis_server: RedisServer, tmp_path: Path) -> None:
    """As a failover to a replica that lagged does, or an append-only file that had not reached the disk."""
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        hold(stream)
        await publish(stream, range(10))

        def copy() -> None:
            redis_server.kill()
            shutil.copytree(redis_server.folder, tmp_path / "copy")
            redis_server.start()

        await asyncio.to_thread(copy)
        await publish(stream, range(10, 20))

        def put_back() -> None:
            redis_server.kill()
            shutil.rmtree(redis_server.folder)
            shutil.move(tmp_path / "copy", redis_server.folder)
            redis_server.start()

        await asyncio.to_thread(put_back)
        await publish(stream, range(20, 20 + later))
        assert await received(stream, 20 + later) == list(range(20 + later))


async def test_a_group_that_began_now_misses_nothing_when_it_is_made_anew(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    numbers: list[int] = []
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        await publish(stream, range(1))
        stream.consumer("g", "*", lambda event: numbers.append(event.payload["number"]), DeliveryOptions(start="now"))
        consuming = asyncio.create_task(stream.run_consumers())
        await asyncio.to_thread(until, lambda: [group.consumers for group in stream.backend.groups()] == [1])
        await publish(stream, range(1, 3))
        await asyncio.to_thread(until, lambda: numbers == [1, 2])
        await asyncio.to_thread(redis_server.kill)
        receipts = [stream.publish(event(number)) for number in range(3, 6)]
        await asyncio.to_thread(redis_server.restart, empty=True)
        await asyncio.wait_for(asyncio.gather(*receipts), 60)
        await asyncio.to_thread(until, lambda: {3, 4, 5} <= set(numbers))
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
    assert numbers[-3:] == [3, 4, 5]
