"""The task that watches limits and objectives, and reports what is crossed to threats and immune."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, select

from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.metrics import tables
from brain.metrics.announce import job_failed
from brain.metrics.crossings import report_crossing
from brain.metrics.definition_store import Defined, read_defined
from brain.metrics.events import LIMIT_CROSSED, SLO_BURNING
from brain.metrics.plugin import PLUGIN
from brain.metrics.schema import changing_tables, reading_tables
from brain.metrics.watch import Change, changes, store

log: Log = Log("brain.metrics")

EVERY = 10.0
"""Seconds between two looks: the width of the finest buckets."""


class Watcher:
    """Looks regularly; without limits and objectives a look is one small question to the database.

    `dead` says how many events could not be counted, `changed` is called when there are events to ship.
    """

    def __init__(
        self,
        database: Engine,
        dead: Callable[[], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._count_dead = dead
        self._clock = clock
        self._defined = Defined()
        self._dead = 0

    async def run(self) -> None:
        """Look every EVERY seconds, until cancelled; an outage of the database is waited for."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look_once()
            except OUTAGE as error:
                log.warning("limits not watched: the database does not answer", error=str(error))

    async def look_once(self) -> None:
        """One look at what is watched, and at what could not be counted. Raises what OUTAGE names."""
        await for_tasks(self._database, self._note_dead)
        await for_tasks(self._database, self.look)

    def look(self) -> int:
        """Store what changed, with its events and reports; how much that was. Blocks."""
        with reading_tables(self._database) as connection:
            self._read(connection)
            if not self._defined.version or not changes(connection, self._defined, self._clock()):
                return 0
        with changing_tables(self._database) as connection:
            # Whoever defines or looks as well waits here: a change is found by one of them.
            connection.execute(select(tables.definitions.c.version).with_for_update()).all()
            self._read(connection)
            now = self._clock()
            found = changes(connection, self._defined, now)
            store(connection, found, now)
            self._report(connection, found, now)
        return len(found)

    def _report(self, connection: Connection, found: Sequence[Change], now: float) -> None:
        for change in found:
            if change.state is not None and change.event in (LIMIT_CROSSED, SLO_BURNING):
                report_crossing(connection, change.key, change.state, self._defined, now)

    def _read(self, connection: Connection) -> None:
        version = connection.execute(select(tables.definitions.c.version)).scalar_one_or_none() or 0
        if version != self._defined.version:
            self._defined = read_defined(connection)

    def _note_dead(self) -> None:
        """Announce that events could not be counted, once for those of one look."""
        dead = self._count_dead()
        if dead == self._dead:
            return
        words = f"{dead - self._dead} events could not be counted; see `brain dead-letters list {PLUGIN.group}`"
        with changing_tables(self._database) as connection:
            job_failed(connection, "count", ("DeadLetter", words), self._clock())
        self._dead = dead
