"""kill -9 of `brain worker metrics` at random points under load: the series equal a recount, row by row."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from brain import Event, EventStream
from brain.kit.database import open_database
from brain.metrics.recount import Verdict, verify
from brain.metrics.sources import StreamSource
from support import metrics_worker
from support.metrics_defined import TWENTY, defined
from support.metrics_tables import contents, folded, open_tables, pruned, total
from support.metrics_traffic import Traffic
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until

SEED = 20261125


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", "redis and postgresql"])
@pytest.mark.parametrize("kills", sizes(2, 50))
async def test_the_series_equal_a_recount(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url, database = f"sqlite:///{tmp_path}/brain.db", f"sqlite:///{tmp_path}/consumers.db"
    else:
        url, database = request.getfixturevalue("redis_url"), request.getfixturevalue("postgres").url
    chance = random.Random(SEED)
    traffic = Traffic(SEED, agents=300, start=time.time() - 7200)
    published: list[Event] = []
    engine = open_tables(database)

    async with EventStream.open(url, journal=tmp_path / "journal") as stream:

        def publish(count: int) -> None:
            for event in traffic.events(count):
                assert stream.publish(event).refused is None
                published.append(event)

        publish(300)
        worker = spawn(metrics_worker.run, str(tmp_path), url, database)
        progressed = 0
        for number in range(kills):
            before = total(engine)
            publish(chance.randrange(20, 200))
            if number % 2 == 0:  # however slow the machine is, some of the workers have worked when they are killed
                await until(lambda: total(engine) > before)  # noqa: B023  (awaited here)
            await asyncio.sleep(chance.uniform(0.0, 0.1))
            progressed += total(engine) > before
            assert worker.is_alive()
            kill(worker)
            worker = spawn(metrics_worker.run, str(tmp_path), url, database)
        publish(50)
        await until(lambda: total(engine) == len(published) and pruned(engine), 60)
        kill(worker)
        verdict = await asyncio.to_thread(recount, stream, engine)
    engine.dispose()
    print(
        f"{kind}: {kills} kills, {progressed} of them in mid-work, "
        f"{len(published)} events, {verdict.points} points compared"
    )
    assert (verdict.differences, verdict.incomplete, verdict.events) == ([], 0, len(published))
    if kind == "sqlite":  # whose positions are the events' numbers: a recount without the stream gives the same rows
        found = contents(open_database(database))
        del found["metrics_kept"]
        expected = contents(folded(open_tables(), published))
        del expected["metrics_kept"]
        assert found == expected


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kills", "events"), sizes((2, 400), (50, 1_000_000)))
async def test_definitions_equal_a_recount(kills: int, events: int, tmp_path: Path) -> None:
    """Twenty metrics that users define, one of them changed midway, through kills of the worker that counts them."""
    url, database = f"sqlite:///{tmp_path}/brain.db", f"sqlite:///{tmp_path}/consumers.db"
    chance = random.Random(SEED)
    traffic = Traffic(SEED, agents=300, start=time.time() - 7200, hours=0.1)
    engine = open_tables(database)
    defined(engine, TWENTY, time.time())
    counted = 0  # how many are published

    async with EventStream.open(url, journal=tmp_path / "journal") as stream:

        async def publish(count: int) -> None:
            nonlocal counted
            for event in traffic.events(count):
                receipt = stream.publish(event)
                counted += receipt.refused is None
            await receipt

        worker = spawn(metrics_worker.run, str(tmp_path), url, database)
        progressed = 0
        for number in range(kills):
            before = total(engine)
            await publish(events // kills)
            if number % 2 == 0:  # the others may be killed before they have counted anything, or in their first batch
                await until(lambda: total(engine) > before, 120)  # noqa: B023  (awaited here)
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            progressed += before < total(engine) < counted
            kill(worker)
            if number == kills // 2:
                changed = {**TWENTY, "denied": {**TWENTY["denied"], "labels": {"agent": "agent_id"}}}
                defined(engine, changed, time.time())
            worker = spawn(metrics_worker.run, str(tmp_path), url, database)
        await until(lambda: total(engine) >= counted + 2, 1200)  # two announcements of definitions among them
        kill(worker)
        verdict = await asyncio.to_thread(recount, stream, engine)
    engine.dispose()
    print(
        f"{kills} kills, {progressed} of them in mid-work, 20 definitions, "
        f"{verdict.events:,} events, {verdict.points:,} points compared"
    )
    assert (verdict.differences, verdict.incomplete, verdict.events) == ([], 0, counted + 2)


def recount(stream: EventStream, engine: Engine) -> Verdict:
    return verify(engine, lambda stored: StreamSource(stream.backend, stored))
