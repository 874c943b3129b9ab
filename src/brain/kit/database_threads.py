"""Threads for the consumers' database, by purpose: a database that hangs stops only who asks it, and not for long.

A request waits a second for a thread and is refused then (503 with Retry-After); a task waits. Threads of one purpose
are taken by no other, and nothing here takes one that other parts of the server need.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import sqlalchemy as sa

from brain.kit.database import OUTAGE
from brain.logs import Log
from brain.stream.retry import Backoff
from brain.stream.threads import HandlerThreads, run_in

log: Log = Log("brain.database")

__all__ = ["for_reading", "for_tasks", "for_writing", "tables_made"]

A = ParamSpec("A")
T = TypeVar("T")

READING, WRITING, TASKS = 6, 4, 10
"""Threads of one process for requests that read, for requests that write, and for the tasks of plug-ins."""
PATIENCE = 1.0
"""Seconds that a request waits for a thread."""

_threads: weakref.WeakKeyDictionary[sa.Engine, dict[str, HandlerThreads]] = weakref.WeakKeyDictionary()


async def for_reading(database: sa.Engine, function: Callable[A, T], *args: A.args, **options: A.kwargs) -> T:
    """Run a blocking call that reads, for a request. Raises Unavailable when all threads for that are taken."""
    return await run_in(_of(database, "reading", READING), lambda: function(*args, **options), PATIENCE, "database")


async def for_writing(database: sa.Engine, function: Callable[A, T], *args: A.args, **options: A.kwargs) -> T:
    """Run a blocking call that writes, for a request. Raises Unavailable when all threads for that are taken."""
    return await run_in(_of(database, "writing", WRITING), lambda: function(*args, **options), PATIENCE, "database")


async def for_tasks(database: sa.Engine, function: Callable[A, T], *args: A.args, **options: A.kwargs) -> T:
    """Run a blocking call for a task, which waits for its turn."""
    return await run_in(_of(database, "tasks", TASKS), lambda: function(*args, **options), None, "database")


async def tables_made(database: sa.Engine, make_tables: Callable[[sa.Engine], None], plugin: str) -> None:
    """Return once the tables of a plug-in are there; an outage of the database is waited for."""
    backoff = Backoff(0.1, 5.0)
    while True:
        try:
            await for_tasks(database, make_tables, database)
            return
        except OUTAGE as error:
            log.warning("the tables of a plug-in are not made yet", plugin=plugin, error=str(error))
            await asyncio.sleep(backoff.next_delay())


def _of(database: sa.Engine, purpose: str, count: int) -> HandlerThreads:
    if database not in _threads:
        _threads[database] = {}
        sa.event.listen(database, "engine_disposed", _close)
    of_database, loop = _threads[database], asyncio.get_running_loop()
    found = of_database.get(purpose)
    if found is None or found.loop is not loop:
        if found is not None:
            found.close()
        found = of_database[purpose] = HandlerThreads(f"database-{purpose}", count)
    return found


def _close(database: sa.Engine) -> None:
    for threads in _threads.pop(database, {}).values():
        threads.close()
