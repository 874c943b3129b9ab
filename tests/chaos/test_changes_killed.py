"""Processes that change state, killed at any moment: no change without its event, no event without change, none twice.

By default a few kills; `make test-long` makes 200 on each store.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream
from brain.kit.database import open_database
from brain.store import open_store
from brain.stream.announcer import announcer_for
from brain.stream.event_outbox import outbox_state
from support import tables_worker
from support.changing_worker import Told, change
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until, wait_until


def kill_at_random(kills: int, work: Callable[..., None], *args: str) -> None:
    """Let processes work, two at a time, and kill each at a random moment after its first change."""
    chance = random.Random(kills)
    for number in range(0, kills, 2):
        workers = [started(work, *args, f"p{number}{letter}") for letter in "ab"]
        for _, going in workers:
            wait_until(going.poll)
        for process, _ in workers:
            time.sleep(chance.uniform(0, 0.1))
            kill(process)


def started(work: Callable[..., None], *args: str) -> tuple[BaseProcess, Connection]:
    ours, theirs = multiprocessing.Pipe()
    return spawn(work, *args, theirs), ours


async def all_events(url: str, folder: Path) -> list[Event]:
    """What is on the stream once a process has come up that ships what the dead have left."""
    with closing(open_store(url)) as store:
        async with EventStream.open(url, journal=folder / "journal") as stream:
            announcer_for(stream, store)
            await until(lambda: outbox_state(store).waiting == 0)
            return [event async for event in stream.replay()]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("kills", sizes(2, 200))
def test_state_and_events_agree(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest, capsys: Any
) -> None:
    url = f"sqlite:///{tmp_path}/brain.db" if kind == "sqlite" else str(request.getfixturevalue("redis_url"))
    kill_at_random(kills, change, url, str(tmp_path / "journal"))
    events = asyncio.run(all_events(url, tmp_path))
    with closing(open_store(url)) as store:
        told = Told(events, store)
    with capsys.disabled():
        print(f"\n{kind}: {kills} kills, {told.changes} events: {dict(told.faults) or 'all agree with the state'}")
    assert told.faults == {}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("kills", sizes(2, 200))
def test_the_consumers_tables_and_their_events_agree(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest, capsys: Any
) -> None:
    stream, journal = f"sqlite:///{tmp_path}/brain.db", str(tmp_path / "journal")
    url = f"sqlite:///{tmp_path}/consumers.db" if kind == "sqlite" else request.getfixturevalue("postgres").url
    database = open_database(url)
    tables_worker.prepare(database)
    kill_at_random(kills, tables_worker.change, stream, url, journal)
    events = asyncio.run(tables_worker.shipped(stream, database, journal))
    made, announced = tables_worker.made(database), tables_worker.announced(events)
    database.dispose()
    with capsys.disabled():
        print(f"\n{kind}: {kills} kills, {len(events)} events for {sum(made.values())} changes that are there")
    assert announced == made
