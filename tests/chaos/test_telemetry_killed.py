"""A server that is killed loses no sample and counts none twice: the run of a robot is replayed and recounted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from brain.kit.database import open_database
from brain.telemetry.client import SourceClient, new_run
from brain.telemetry.query import TelemetryQuery
from brain.telemetry.recording import Recorded
from support.ports import free_port
from support.recorded import nav2_run, recounted
from support.server import ServeProcess
from support.sizes import sizes

SPEED = 10
LONG = 600.0


async def replay(url: str, samples: Sequence[Recorded], speed: float) -> SourceClient:
    """Send the samples at so many times their speed, over whatever happens to the server."""
    async with SourceClient(url, "turtlebot", run=new_run(), interval=LONG) as robot:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for sample in samples:
            await asyncio.sleep(max(0.0, (sample.at - samples[0].at) / speed - (loop.time() - began)))
            await robot.send(sample.values, sample.at)
    return robot


def check(folder: Path, samples: Sequence[Recorded]) -> None:
    """Nothing is lost, and each window equals a recount of the recording."""
    engine = open_database(f"sqlite:///{folder}/brain-consumers.db")
    query = TelemetryQuery(engine)
    source = query.source("turtlebot")
    assert (source["samples"], source["lost"], source["seq"]) == (len(samples), 0, len(samples))
    windows = query.series("turtlebot", None, samples[0].at - 10, samples[-1].at, 100_000)
    found = {(one["name"], one["at"]): (one["min"], one["max"], one["mean"], one["count"]) for one in windows}
    assert found == recounted(samples)
    engine.dispose()


@pytest.mark.parametrize(("kills", "count"), sizes((2, 400), (20, 8197)))
async def test_a_robots_run_through_kills(tmp_path: Path, kills: int, count: int) -> None:
    samples = nav2_run()[:count]
    assert len(samples) == count
    random_times = random.Random(kills)
    port, environment = free_port(), {"BRAIN_CONSUMERS": "metrics"}
    times = sorted(random_times.uniform(0.05, 0.95) for _ in range(kills))

    server = await asyncio.to_thread(ServeProcess(tmp_path, port=port, environment=environment).__enter__)
    try:
        sending = asyncio.create_task(replay(server.url, samples, SPEED))
        length = (samples[-1].at - samples[0].at) / SPEED
        for before, after in pairwise([0.0, *times]):
            await asyncio.wait({sending}, timeout=(after - before) * length)
            await asyncio.to_thread(server.kill)
            server = await asyncio.to_thread(ServeProcess(tmp_path, port=port, environment=environment).__enter__)
        robot = await sending
    finally:
        await asyncio.to_thread(server.kill)
    assert robot.stored == count
    assert 1 < robot.connections <= kills + 1
    check(tmp_path, samples)


@pytest.mark.long
async def test_the_whole_run_at_ten_times_its_speed(tmp_path: Path) -> None:
    samples = nav2_run()
    assert len(samples) == 8197
    with ServeProcess(tmp_path, environment={"BRAIN_CONSUMERS": "metrics"}) as server:
        robot = await replay(server.url, samples, SPEED)
        assert (robot.stored, robot.connections) == (8197, 1)
    check(tmp_path, samples)
