"""kill -9 of consumers at random points: nothing lost, and with the inbox exactly one effect for each event."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from brain import Event, EventStream
from support import group_worker
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until

SEED = 20261125
LEASE = 0.3


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("kills", sizes(5, 200))
async def test_each_event_has_one_effect(kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"sqlite:///{tmp_path}/brain.db" if kind == "sqlite" else request.getfixturevalue("redis_url")
    effects = str(tmp_path / "effects.db")
    connection = group_worker.open_effects(effects)
    arguments = (url, str(tmp_path / "journal"), effects, LEASE)
    chance = random.Random(SEED)
    ids: list[str] = []

    async with EventStream.open(url, journal=tmp_path / "journal") as stream:

        def publish(count: int) -> None:
            for _ in range(count):
                event = Event(type="test.counted", source="test_service", payload={"n": len(ids)})
                assert stream.publish(event).refused is None
                ids.append(event.id)

        publish(500)
        workers = [spawn(group_worker.run, *arguments) for _ in range(2)]
        for _ in range(kills):
            publish(chance.randrange(100))
            await asyncio.sleep(chance.uniform(0.02, 0.12))
            victim = chance.randrange(2)
            assert workers[victim].is_alive()
            kill(workers[victim])
            workers[victim] = spawn(group_worker.run, *arguments)

        async def all_handled() -> bool:
            effects = connection.execute("SELECT count(DISTINCT event_id) FROM effects").fetchone()[0]
            return effects == len(ids) and not any(group.pending or group.lag for group in await stream.groups())

        await until(all_handled, 60)
        for worker in workers:
            kill(worker)
        dead = await stream.dead_letters()
    found = [row[0] for row in connection.execute("SELECT event_id FROM effects")]
    print(f"{kind}: {kills} kills, {len(ids)} events, {len(found)} effects, {len(dead)} dead letters")
    assert sorted(found) == sorted(ids)
    assert dead == []


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_an_event_that_kills_its_consumer_becomes_a_dead_letter(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/brain.db" if kind == "sqlite" else request.getfixturevalue("redis_url")
    effects = str(tmp_path / "effects.db")
    connection = group_worker.open_effects(effects)
    arguments = (url, str(tmp_path / "journal"), effects, LEASE)
    async with EventStream.open(url, journal=tmp_path / "journal") as stream:
        for n in range(20):
            stream.publish(Event(type="test.counted", source="test_service", payload={"n": n, "poison": n == 7}))
        worker = spawn(group_worker.run, *arguments)
        deaths = 0

        async def given_up() -> bool:
            nonlocal deaths, worker
            if not worker.is_alive():
                deaths += 1
                worker = spawn(group_worker.run, *arguments)
            return bool(await stream.dead_letters())

        await until(given_up, 60)
        await until(lambda: connection.execute("SELECT count(*) FROM effects").fetchone()[0] == 19)
        (letter,) = await stream.dead_letters("effects")
        assert Event.decode(letter.data).payload["n"] == 7
        assert deaths == letter.attempts == 5
        assert worker.is_alive()
        assert await stream.redrive("effects") == 1  # it kills again: it went back to its group
        await until(lambda: not worker.is_alive())
        kill(worker)
    numbers = sorted(row[0] for row in connection.execute("SELECT n FROM effects"))
    assert numbers == [n for n in range(20) if n != 7]
