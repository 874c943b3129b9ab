"""kill -9 of a producer at random points: every id whose publish had returned is in the stream, once and in order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from brain import EventStream
from support import producer
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until

SEED = 20261125


def all_adopted(stream: EventStream, journal: Path) -> bool:
    """Whether the journals of the dead are shipped and gone."""
    return not any(folder.is_dir() and folder.name != stream.journal_name for folder in journal.iterdir())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("kills", sizes(5, 200))
async def test_nothing_published_is_lost(kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/brain.db" if kind == "sqlite" else request.getfixturevalue("redis_url")
    journal = tmp_path / "journal"
    chance = random.Random(SEED)
    ids: list[str] = []
    for number in range(kills):
        acknowledged = tmp_path / f"acknowledged-{number}"
        process = spawn(producer.run, url, str(journal), f"p{number}", str(acknowledged), chance.randrange(1000))
        await until(lambda: acknowledged.exists() and acknowledged.stat().st_size > 0)  # noqa: B023  (awaited here)
        await asyncio.sleep(chance.uniform(0, 0.03))
        kill(process)
        ids += acknowledged.read_text().split("\n")[:-1]  # a line without its end was being written
        acknowledged.unlink()
    assert len(ids) > kills * 10

    async with EventStream.open(url, journal=journal) as stream:
        await until(lambda: all_adopted(stream, journal), 60)
        stored: Counter[str] = Counter()
        numbers: dict[str, list[int]] = {}
        async for event in stream.replay():
            stored[event.id] += 1
            numbers.setdefault(event.payload["producer"], []).append(event.payload["n"])
        print(f"{kind}: {kills} kills, {len(ids)} acknowledged, {stored.total()} stored")
    assert set(ids) <= stored.keys()
    assert max(stored.values()) == 1
    assert all(found == list(range(len(found))) for found in numbers.values())
