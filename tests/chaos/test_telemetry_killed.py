"""A server that is killed loses no sample, no call of an agent, and counts none twice: a robot's run, and OTLP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from brain.kit.database import open_database
from brain.telemetry.client import SourceClient, new_run
from brain.telemetry.otlp import OtlpBody
from brain.telemetry.query import TelemetryQuery
from brain.telemetry.recording import Recorded
from support.ports import free_port
from support.recorded import nav2_run, recounted
from support.server import ServeProcess
from support.sizes import sizes
from support.spans import CHAT, TOKENS, Span, as_json, protobuf, usage_in
from support.waiting import until

LONG = 600.0
LATE = 0.05
"""Seconds: what is later, since there was no server, is not made up for."""
AHEAD = 20
"""Samples that may be sent beyond the place of a kill before it has happened."""


def source(url: str) -> SourceClient:
    """The robot."""
    return SourceClient(url, "turtlebot", run=new_run(), interval=LONG)


async def replay(robot: SourceClient, samples: Sequence[Recorded], speed: float, kills: list[int]) -> None:
    """Send the samples at so many times their speed, over whatever happens to the server.

    `kills` are the places of the kills that are still to come.
    """
    async with robot:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, sample in enumerate(samples):
            if kills and number > kills[0] + AHEAD:
                await until(lambda number=number: not kills or number <= kills[0] + AHEAD)  # type: ignore[misc]
            late = loop.time() - began - (sample.at - samples[0].at) / speed
            if late < 0:
                await asyncio.sleep(-late)
            elif late > LATE:
                began += late
            await robot.send(sample.values, sample.at)


async def export(url: str, bodies: Sequence[OtlpBody], seconds: float) -> int:
    """Post the requests over so many seconds as exporters do: what is not answered 200 is sent again. How often."""
    again = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, number * seconds / len(bodies) - (loop.time() - began)))
            while True:
                try:
                    headers = {"content-type": body.media_type}
                    answer = await client.post(f"{url}/api/telemetry/v1/traces", content=body.data, headers=headers)
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)  # there is no server
                else:
                    assert answer.status_code in (200, 503), answer.text
                    if answer.status_code == 200:
                        break
                again += 1
    return again


def requests_of_spans(count: int) -> list[OtlpBody]:
    """So many requests of 100 calls each, by turns in protobuf and JSON; each repeats 30 calls of the one before."""
    calls = [
        Span(1 + n // 7, 1 + n, 0, {**CHAT, **TOKENS, "gen_ai.agent.name": f"agent-{n % 5}"})
        for n in range(count * 70 + 30)
    ]
    return [(as_json if n % 2 else protobuf)(calls[n * 70 : n * 70 + 100]) for n in range(count)]


def check_calls(folder: Path, requests: int, again: int) -> None:
    """Each call is counted once, under its agent."""
    engine = open_database(f"sqlite:///{folder}/brain-consumers.db")
    calls = requests * 70 + 30
    found = usage_in(engine)
    assert {agent: count for (agent, _), (count, *_) in found.items()} == {f"agent-{n}": calls // 5 for n in range(5)}
    assert sum(tokens for _, tokens, _ in found.values()) == 120 * calls
    engine.dispose()
    print(f"{calls:,} calls in {requests} requests, {again} of them sent again: each counted once")


def check(folder: Path, samples: Sequence[Recorded], kills: int) -> None:
    """Nothing is lost, and each window equals a recount of the recording."""
    engine = open_database(f"sqlite:///{folder}/brain-consumers.db")
    query = TelemetryQuery(engine)
    row = query.source("turtlebot")
    assert (row["samples"], row["lost"], row["seq"]) == (len(samples), 0, len(samples))
    windows = query.series("turtlebot", None, samples[0].at - 10, samples[-1].at, 100_000)
    found = {(one["name"], one["at"]): (one["min"], one["max"], one["mean"], one["count"]) for one in windows}
    assert found == recounted(samples)
    engine.dispose()
    print(f"\n{len(samples):,} messages, {kills} kills: 0 lost, {len(found):,} windows of values equal a recount")


@pytest.mark.parametrize(("kills", "count", "speed"), sizes((2, 400, 2), (20, 8197, 10)))
async def test_a_robots_run_through_kills(tmp_path: Path, kills: int, count: int, speed: int) -> None:
    """Each kill comes while samples are under way on a live connection."""
    samples = nav2_run()[:count]
    assert len(samples) == count
    port, environment = free_port(), {"BRAIN_CONSUMERS": "metrics", "BRAIN_TELEMETRY__CREDIT": "50"}
    chosen = random.Random(kills)
    places = sorted(chosen.randint(count // 20, count * 4 // 5) for _ in range(kills))

    server = await asyncio.to_thread(ServeProcess(tmp_path, port=port, environment=environment).__enter__)
    robot = source(server.url)
    try:
        sending = asyncio.create_task(replay(robot, samples, speed, places))
        length = (samples[-1].at - samples[0].at) / speed
        exporting = asyncio.create_task(export(server.url, requests_of_spans(count // 10), length))
        for number in range(1, kills + 1):
            await until(lambda least=number: robot.connections >= least and robot.stored >= places[0])  # type: ignore[misc]
            await asyncio.to_thread(server.kill)
            del places[0]
            server = await asyncio.to_thread(ServeProcess(tmp_path, port=port, environment=environment).__enter__)
        _, again = await asyncio.gather(sending, exporting)
    finally:
        await asyncio.to_thread(server.kill)
    assert (robot.stored, robot.connections) == (count, kills + 1)
    check(tmp_path, samples, kills)
    check_calls(tmp_path, count // 10, again)


@pytest.mark.long
async def test_the_whole_run_at_ten_times_its_speed(tmp_path: Path) -> None:
    samples = nav2_run()
    assert len(samples) == 8197
    with ServeProcess(tmp_path, environment={"BRAIN_CONSUMERS": "metrics"}) as server:
        robot = source(server.url)
        await replay(robot, samples, 10, [])
        assert (robot.stored, robot.connections) == (8197, 1)
    check(tmp_path, samples, 0)
