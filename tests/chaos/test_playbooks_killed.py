"""Servers killed in the middle of playbooks: every step's effect is there once, and no run is forgotten.

By default a few kills; `make test-long` makes 500 on SQLite and 100 on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream
from brain.kit.database import open_database
from brain.kit.outbox import ship_waiting
from brain.playbooks.models import CONSUMER
from brain.playbooks.reads import read_runs
from support import playbook_worker
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until, wait_until


def started(folder: Path, database: str, wanted: int) -> tuple[BaseProcess, Connection]:
    ours, theirs = multiprocessing.Pipe()
    return spawn(playbook_worker.work, str(folder), database, wanted, theirs), ours


async def publish(folder: Path, numbers: range) -> None:
    async with EventStream.open(f"sqlite:///{folder}/brain.db", journal=folder / "journal") as stream:
        for number in numbers:
            payload = {"number": number, "agent_id": f"agent-{number}"}
            await stream.publish(Event(type="test.failed", source="test_service", payload=payload))


async def kill_at_random(folder: Path, database: str, kills: int) -> int:
    """Let one process after the other work, and kill each at a random moment; the last one is to end all runs.

    Each finds a run that none before it could begin, however quick those were. Returns how many runs there are.
    """
    chance, runs = random.Random(kills), 4
    await publish(folder, range(runs))
    for _ in range(kills):
        runs += 1
        await publish(folder, range(runs - 1, runs))
        await asyncio.to_thread(kill_one, folder, database, chance.uniform(0, 0.15))
    await publish(folder, range(runs, runs + 1))
    return runs + 1


def kill_one(folder: Path, database: str, after: float) -> None:
    """Start a process, and kill it so many seconds after its first step."""
    process, ours = started(folder, database, 1 << 30)
    wait_until(ours.poll, 300)  # one that has little of the processor loses its leases again and again
    time.sleep(after)
    kill(process)
    ours.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("kind", "kills"),
    [*sizes(("sqlite", 3), ("sqlite", 500)), *sizes(("postgresql", 2), ("postgresql", 100))],
)
async def test_each_effect_is_there_once_and_no_run_is_forgotten(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest, capsys: Any
) -> None:
    given = f"sqlite:///{tmp_path}/consumers.db" if kind == "sqlite" else request.getfixturevalue("postgres").url
    runs = await kill_at_random(tmp_path, given, kills)
    process, ours = started(tmp_path, given, runs)
    said = [ours.recv(), ours.recv()]
    process.join(60)
    assert (said, process.exitcode) == (["going", "done"], 0)
    database = open_database(given)
    found = read_runs(database, 10_000)
    assert Counter(one.state for one in found) == {"SUCCEEDED": runs}
    effects = Counter((tmp_path / "effects").read_text().split())
    assert effects == {f"{one.id}-{number}": 1 for one in found for number in (1, 3)}

    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db", journal=tmp_path / "journal") as stream:

        async def ended() -> Counter[str]:
            return Counter([event.type async for event in stream.replay(["playbook.*", "policy.rule_created"])])

        await ship_waiting(
            database, CONSUMER, stream
        )  # the last event may wait in the outbox of the process that ended
        await until(lambda: not stream.stats()["backlog"])
        told = await ended()
    assert (told["playbook.started"], told["playbook.step_ended"], told["playbook.ended"]) == (runs, 4 * runs, runs)
    database.dispose()
    assert told["policy.rule_created"] == 2 * runs
    again = sum(step.attempt > 1 for one in found for step in one.steps)
    with capsys.disabled():
        print(f"\n{kind}: {kills} kills, {runs} runs of 4 steps; {again} steps were begun again")
