"""Slam on a database: poses come in, what is asked of them goes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import sqlalchemy as sa

from brain.kit.database import OUTAGE, Tables
from brain.kit.database_threads import for_reading, for_tasks, for_writing
from brain.kit.outbox import EventShipping
from brain.logs import Log
from brain.plugins import PluginContext
from brain.slam.localization import Pose
from brain.slam.map_records import MapRecords
from brain.slam.map_service import MapService
from brain.slam.records import CONSUMER, RobotPlace, SlamRecords, TrackPoint, list_places, track
from brain.slam.settings import SlamSettings
from brain.slam.tables import make_tables

log: Log = Log("brain.slam")

LOOK = 1.0
"""Seconds between two looks at robots that may have fallen silent."""


class SlamService:
    """Where all robots are. `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        self.settings: SlamSettings = context.table(SlamSettings)
        self.clock = clock
        self._database = context.database
        self._tables = Tables(context.database, make_tables)
        self.maps: MapService = MapService(context, clock)
        self._maps = MapRecords(clock)
        self._records = SlamRecords(self.settings, clock)
        self._events = EventShipping(context.database, CONSUMER, context.stream)

    @property
    def tasks(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until cancelled."""
        return (self._events.run, self._watch)

    async def note(self, robot: str, map: str | None, pose: Pose, map_sha256: str | None = None) -> RobotPlace:
        """A robot said where it is, and by which map: one that nobody approved is a threat. Raises Unavailable."""

        def change(db: sa.Connection) -> RobotPlace:
            if map_sha256 is not None:
                self._maps.check_said(db, robot, map, map_sha256)
            return self._records.note(db, robot, map, pose)

        return await for_writing(self._database, self._tables.change, change)

    async def places(self) -> list[RobotPlace]:
        """Every robot. Raises Unavailable."""
        return await for_reading(self._database, self._tables.read, list_places)

    async def track(self, robot: str, limit: int) -> list[TrackPoint]:
        """The last places of a robot. Raises Unavailable."""
        return await for_reading(self._database, self._tables.read, lambda db: track(db, robot, limit))

    async def _watch(self) -> None:
        while True:
            try:
                await for_tasks(self._database, self._look)
            except OUTAGE as error:
                log.warning("robots are not watched: the database is away", error=str(error))
            await asyncio.sleep(LOOK)

    def _look(self) -> None:
        if self._tables.read(self._records.is_due):
            self._tables.change(self._records.look)
