"""What immune derives in one process: the projection of measures, and the watch over heartbeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from brain.immune import heartbeats
from brain.immune.derived import DerivedHealth
from brain.immune.heartbeats import Heartbeat
from brain.immune.measures import LISTENS
from brain.immune.tables import make_tables
from brain.kit.database import OUTAGE, reading
from brain.kit.database_threads import for_reading, for_tasks, for_writing, tables_made
from brain.kit.projection import Projection
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.immune")

GROUP = "brain.immune.measures"
LOOK = 10.0
"""Seconds between two looks for heartbeats that other processes were sent."""


class Vitals:
    """Derives health. `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        self._database = context.database
        self._clock = clock
        self._beaten = asyncio.Event()
        self.projection: Projection = Projection(context, GROUP, DerivedHealth().apply, pattern=LISTENS)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        return (self._measure, self._watch)

    def check(self) -> str:
        """For `/readyz`."""
        dead = self.projection.dead
        return "ok" if not dead else f"{dead} events could not be applied; see brain dead-letters list"

    async def beat(self, agent: str, interval: float | None, resources: Mapping[str, float]) -> Heartbeat:
        """Note a heartbeat. Raises Conflict when there are too many agents, and Unavailable."""
        noted = await for_writing(self._database, self._beat, agent, interval, resources)
        self._beaten.set()
        return noted

    async def leave(self, agent: str) -> None:
        """Expect no more heartbeats of this agent. Raises Unavailable."""
        await for_writing(self._database, self._leave, agent)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """The agents that send heartbeats. Raises Unavailable."""
        return await for_reading(self._database, self._listed)

    def _beat(self, agent: str, interval: float | None, resources: Mapping[str, float]) -> Heartbeat:
        make_tables(self._database)
        with self._database.begin() as db:
            return heartbeats.beat(db, agent, self._clock(), interval, resources)

    def _leave(self, agent: str) -> None:
        make_tables(self._database)
        with self._database.begin() as db:
            heartbeats.leave(db, agent)

    def _listed(self) -> Sequence[Heartbeat]:
        make_tables(self._database)
        with reading(self._database).begin() as db:
            return heartbeats.listed(db)

    async def _measure(self) -> None:
        await tables_made(self._database, make_tables, "immune")
        await self.projection.run()

    async def _watch(self) -> None:
        await tables_made(self._database, make_tables, "immune")
        since = self._clock()
        while True:
            self._beaten.clear()
            try:
                due = await for_tasks(self._database, self._fail_silent, since)
            except OUTAGE as error:
                log.warning("heartbeats are not watched: the database does not answer", error=str(error))
                due = None
            await self._rest(LOOK if due is None else min(LOOK, max(0.25, due - self._clock())))

    async def _rest(self, seconds: float) -> None:
        """For so long; at most a second once there was a heartbeat, which may be due before."""
        try:
            async with asyncio.timeout(seconds):
                await self._beaten.wait()
                await asyncio.sleep(1.0)
        except TimeoutError:
            return

    def _fail_silent(self, since: float) -> float | None:
        with reading(self._database).begin() as db:
            due = heartbeats.next_due(db)
        if due is None or due > self._clock():
            return due
        with self._database.begin() as db:
            heartbeats.fail_silent(db, self._clock(), since)
            return heartbeats.next_due(db)
