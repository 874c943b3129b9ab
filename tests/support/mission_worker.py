"""An agent in a process that can be killed: it leaves one row for each task, whatever it is asked to do twice.

Some work over HTTP, some straight on the database.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, suppress

from brain.errors import Unavailable
from brain.kit.leases import LeaseLost
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.client import MissionClient
from brain.missions.opened import opened_service
from brain.missions.worker import TaskSource
from brain.settings import Settings

LEASE = 1.0
AT_ONCE = 20


def run(place: str, agent: str, effects: str) -> None:
    """Work until killed. `place` is the server's URL, or that of the stream beside which the database lies."""
    asyncio.run(_main(place, agent, effects))


async def _main(place: str, agent: str, effects: str) -> None:
    db = open_effects(effects)
    async with AsyncExitStack() as opened:
        tasks: TaskSource
        if place.startswith("http"):
            tasks = await opened.enter_async_context(MissionClient(place))
        else:
            tasks = await opened.enter_async_context(opened_service(Settings(stream=place)))
        while True:
            with suppress(Unavailable):
                found = await tasks.lease(Wanted(agent, most=AT_ONCE, seconds=LEASE), wait=1)
                await asyncio.gather(*(_do(tasks, task, db) for task in found))


async def _do(tasks: TaskSource, task: ClaimedTask, db: sqlite3.Connection) -> None:
    with db:  # the inbox: a task that somebody did before changes nothing
        db.execute("INSERT OR IGNORE INTO effects (task) VALUES (?)", (task.id,))
    with suppress(LeaseLost):
        await tasks.complete(task.id, task.token, {"by": task.token})


def open_effects(path: str) -> sqlite3.Connection:
    """What was done, in order."""
    db = sqlite3.connect(path, timeout=60, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE IF NOT EXISTS effects (number INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT UNIQUE)")
    return db
